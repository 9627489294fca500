"""A store's address: what each part means, what is refused, and that nobody ever sees the password."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from echolane.errors import StoreDown, UsageError
from echolane.settings import load
from echolane.store.address import PASSWORD, Address, address_of, hidden, without_password
from echolane.store.literals import bound
from echolane.store.patience import Patience

NOWHERE = Path("/nonexistent/echolane.toml")


def test_every_part_of_an_address_is_read() -> None:
    """User, password, hosts with and without ports, database and options each go where they belong."""
    url = "clickhouse://ann:p%40ss@one:9001,two,[::1]:9002/shop?secure=1&verify=0&ca=/ca.pem&compression=lz4&wait_s=5&answer_s=2"

    assert address_of(url, {}) == Address(
        hosts=(("one", 9001), ("two", 9440), ("::1", 9002)),
        user="ann",
        password="p@ss",
        database="shop",
        secure=True,
        verify=False,
        ca="/ca.pem",
        compression="lz4",
        wait_s=5.0,
        answer_s=2.0,
    )
    assert address_of("clickhouse://host", {}) == Address(hosts=(("host", 9000),))


def test_a_password_may_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """Where the URL has none it is read elsewhere, the file first; one in the URL wins."""
    file = tmp_path / "password"
    file.write_text("from file\n")
    environ = {PASSWORD: "from environment"}

    assert address_of("clickhouse://u@h", environ).password == "from environment"
    assert address_of(f"clickhouse://u@h/?password_file={file}", environ).password == "from file"
    assert address_of("clickhouse://u:own@h", environ).password == "own"
    assert address_of("clickhouse://u:@h", environ).password == ""


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://u:secret@h", "is no address"),
        ("clickhouse://u:secret@", "is not HOST or HOST:PORT"),
        ("clickhouse://u:secret@h:0", "`h:0` is not HOST"),
        ("clickhouse://u:secret@h:99999", "`h:99999` is not HOST"),
        ("clickhouse://u:secret@h,,i", "`` is not HOST"),
        ("clickhouse://u:secret@h/no-name", "`no-name` is not the name of a database"),
        ("clickhouse://u:secret@h/d?secure=perhaps", "`secure=perhaps` must be 1 or 0"),
        ("clickhouse://u:secret@h/d?wait_s=-1", "`wait_s=-1` must be seconds"),
        ("clickhouse://u:secret@h/d?compression=zip", "must be none, lz4, zstd"),
        ("clickhouse://u:secret@h/d?colour=red", "`colour=red` is no option"),
        ("clickhouse://u@h/d?password_file=/nonexistent/x", "`/nonexistent/x` cannot be read"),
    ],
)
def test_what_is_wrong_in_an_address_is_named_without_the_password(url: str, words: str) -> None:
    """One line says which part is wrong; the password is not in it."""
    with pytest.raises(UsageError) as caught:
        address_of(url, {})

    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    password=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#"), min_size=8),
    user=st.sampled_from(["", "u"]),
)
def test_a_password_is_never_shown(password: str, user: str) -> None:
    """Whatever it is made of, also of at signs and colons, it is in no text that a person sees."""
    url = f"clickhouse://{user}:{password}@host/db"

    assert password not in hidden(url)
    assert password not in without_password(url)
    assert password not in repr(Address((("h", 1),), password=password)) + str(Address((("h", 1),), password=password))


def test_the_settings_never_show_a_password() -> None:
    """`echolane config` and the error for a wrong address hide it."""
    found = load({}, {"ECHOLANE_STORE": "clickhouse://u:secret@h/d"}, NOWHERE)
    assert [row.value for row in found.explain("store")] == ["clickhouse://u:***@h/d"]
    with pytest.raises(UsageError, match=r"it must be `clickhouse://") as caught:
        load({}, {"ECHOLANE_STORE": "https://u:secret@h/d"}, NOWHERE)
    assert "secret" not in str(caught.value)


def test_parameters_are_put_only_where_they_stand() -> None:
    """Braces in texts, names and comments are left alone; each parameter becomes a cast of a quoted text."""
    sql = "SELECT '{a:String} it''s \\' {b:Int8}', `{a:String}` -- {a:String}\n, {a:String}, {n:Nullable(String)}, {l:Array(String)} /* {a:String} */"

    assert bound(sql, {"a": "x'", "n": None, "l": ["y'"]}) == (
        "SELECT '{a:String} it''s \\' {b:Int8}', `{a:String}` -- {a:String}\n"
        ", CAST('x\\'', 'String'), CAST(NULL, 'Nullable(String)'), CAST('[\\'y\\\\\\'\\']', 'Array(String)') /* {a:String} */"
    )


def test_patience_doubles_its_pauses_tells_once_and_ends() -> None:
    """Pauses grow to two seconds with a third of chance, a person hears of it after one second, and after wait_s it is over."""
    clock, said, pauses = [0.0], list[str](), list[float]()

    def sleep(span_s: float) -> None:
        pauses.append(span_s)
        clock[0] += span_s

    patience = Patience("S", 10.0, said.append, now=lambda: clock[0], sleep=sleep, chance=lambda: 0.0)
    for _ in range(10):
        patience.failed(StoreDown("h: refused"))
        if clock[0] >= 10.0:
            break
    with pytest.raises(StoreDown, match=r"the store S has not answered for 10 s \(h: refused\)"):
        patience.failed(StoreDown("h: refused"))

    assert pauses[:7] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert max(pauses) <= 2.0
    assert clock[0] == 10.0
    assert len(said) == 1
    patience.succeeded()
    assert said[1] == "the store answers again, after 10 s"
