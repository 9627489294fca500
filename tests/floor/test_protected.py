"""What is protected, in all the ways to write it."""

from __future__ import annotations

import pytest

from echolane.errors import RefusedForSafety, UsageError
from echolane.protected import NOTHING, protected_of

LISTED = ["shop.example", "*.prod.test", "10.1.0.0/16", "192.0.2.7", "2001:db8::/32"]


@pytest.mark.parametrize(
    "host", ["shop.example", "SHOP.example.", "a.prod.test", "a.b.prod.test", "10.1.2.3", "[2001:db8::1]"]
)
def test_a_protected_name_is_refused(host: str) -> None:
    """Whatever its case, with a dot behind it, below a domain, or as an address."""
    with pytest.raises(RefusedForSafety, match=r"^target is protected \(replay.protected\)"):
        protected_of(LISTED).refuse("target", host=host)


@pytest.mark.parametrize("host", ["my-shop.example", "x.shop.example", "prod.test", "aprod.test", "10.2.0.1", "test"])
def test_other_names_are_not(host: str) -> None:
    """A longer name, the domain itself and a neighbour are others."""
    protected = protected_of(LISTED)
    protected.refuse("target", host=host)
    assert not protected.holds_name(host)


@pytest.mark.parametrize(
    "address", ["10.1.255.1", "::ffff:10.1.2.3", "64:ff9b::a01:203", "192.0.2.7", "2001:db8:1::1%eth0"]
)
def test_a_protected_address_is_refused_however_it_is_carried(address: str) -> None:
    """Also as IPv4 within IPv6, and with the name of an interface."""
    with pytest.raises(RefusedForSafety, match="is protected"):
        protected_of(LISTED).refuse("target", address=address)


def test_what_is_not_listed_is_free() -> None:
    """Nothing is protected by default, and a neighbouring network is not."""
    NOTHING.refuse("target", host="shop.example", address="10.1.2.3")
    assert not NOTHING.holds_name("shop.example")
    for protected in (NOTHING, protected_of(LISTED), protected_of(["shop.example"])):
        protected.refuse("target", address="10.2.0.1")
        assert not protected.holds_address("10.2.0.1")


@pytest.mark.parametrize(
    "text", ["", "*", "*.", "http://shop.example", "shop example", "10.0.0.0/33", "10.0.0.256", "shop.*"]
)
def test_what_protects_nothing_is_an_error(text: str) -> None:
    """One line with the value: a list that is misspelled must not be taken for one that protects."""
    with pytest.raises(UsageError, match=r"setting `replay.protected`: .* is no host, address or network"):
        protected_of(["shop.example", text])
