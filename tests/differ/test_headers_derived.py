"""Headers that follow from a body: forgiven when it explains them, and only then."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from zlib import crc32

import pytest

from differ.compare import compare
from differ.context import Context
from differ.difference import DERIVED, FORMAT, PRESENCE, VALUE, Difference
from echolane.exchange import Body, Response

OLD, NEW = b'{"id":"c9bf9e57-1685-4c89-bafb-ff5af830be8a"}', b'{"id":"d8af9e57-1685-4c89-bafb-ff5af830be8a"}'
OTHER = b'{"id":"d8af9e57-1685-4c89-bafb-ff5af830be8a","n":1}'
HEX = {name: lambda data, name=name: hashlib.new(name, data).hexdigest() for name in ("md5", "sha1", "sha256")}


def b64(name: str, data: bytes) -> str:
    """A digest as headers carry it."""
    return b64encode(hashlib.new(name, data).digest()).decode()


def answer(data: bytes, *headers: tuple[str, str], status: int = 200, **body: object) -> Response:
    """An answer with a body and headers about it."""
    return Response(
        status, "1.1", [(n.encode(), v.encode()) for n, v in headers], Body(data, **{"size": len(data), **body})
    )


def about(name: str, one: Response, two: Response, method: str = "GET") -> Difference | None:
    """What differs at one header."""
    found = compare(one, two, Context(method=method))
    assert not found.uncomparable
    return next((d for d in found.differences if d.where == f"header:{name.lower()}"), None)


DIGESTS = [
    ("Content-MD5", lambda data: b64("md5", data)),
    ("Digest", lambda data: "SHA-256=" + b64("sha256", data)),
    ("Content-Digest", lambda data: f"sha-256=:{b64('sha256', data)}:, sha-512=:{b64('sha512', data)}:"),
    ("Repr-Digest", lambda data: f"sha-512=:{b64('sha512', data)}:"),
    ("Content-Length", lambda data: str(len(data))),
]


@pytest.mark.parametrize(("name", "made"), DIGESTS)
def test_a_digest_that_is_the_bodys_follows_from_it(name: str, made: object) -> None:
    """Both are right about bodies that differ: the body is judged, they are not."""
    found = about(name, answer(OLD, (name, made(OLD))), answer(OTHER, (name, made(OTHER))))

    assert (found.kind, found.facet, found.flags) == ("value", VALUE, DERIVED)


@pytest.mark.parametrize(("name", "made"), DIGESTS)
def test_a_digest_that_is_no_longer_the_bodys_is_a_change(name: str, made: object) -> None:
    """One side's is right and the other's is not: no noise of the body hides that."""
    stale = about(name, answer(OLD, (name, made(OLD))), answer(OTHER, (name, made(OTHER + b" "))))
    mended = about(name, answer(OLD, (name, made(OLD + b" "))), answer(OTHER, (name, made(OTHER))))

    assert (stale.facet, stale.flags, stale.signature[-15:]) == (FORMAT, 0, "not the body's"[-15:].rjust(15, ":"))
    assert (mended.facet, mended.flags) == (FORMAT, 0)


@pytest.mark.parametrize(("name", "made"), DIGESTS)
def test_a_digest_of_equal_bodies_is_judged_itself(name: str, made: object) -> None:
    """Nothing in the body explains it."""
    found = about(name, answer(OLD, (name, made(NEW + b"x"))), answer(OLD, (name, made(OTHER))))

    assert found.flags == 0


def test_another_algorithm_is_a_change_though_both_are_right() -> None:
    """A digest by another name is no consequence of another body."""
    found = about(
        "Digest",
        answer(OLD, ("Digest", "sha-256=" + b64("sha256", OLD))),
        answer(NEW, ("Digest", "md5=" + b64("md5", NEW))),
    )

    assert (found.facet, found.flags) == (FORMAT, 0)


def test_a_digest_behind_masks_is_explained_by_bodies_that_differ() -> None:
    """Neither can be computed again; that bodies differ is explanation enough, and equal ones explain nothing."""
    one, two = ("Content-MD5", b64("md5", b"real 1")), ("Content-MD5", b64("md5", b"real 2"))

    assert about("Content-MD5", answer(OLD, one), answer(NEW, two)).flags == DERIVED
    assert about("Content-MD5", answer(OLD, one), answer(OLD, two)).flags == 0


def test_a_missing_digest_is_missing_and_a_missing_length_is_framing() -> None:
    """A body may end in other ways than by its length; a digest has no substitute. A wrong length that goes is told."""
    length, wrong, digest = ("Content-Length", str(len(OLD))), ("Content-Length", "7"), ("Content-MD5", b64("md5", OLD))
    chunked = answer(OLD, chunked=True)

    assert about("Content-Length", answer(OLD, length), chunked).flags == DERIVED
    assert about("Content-Length", answer(OLD, wrong), chunked).flags == 0
    gone = about("Content-MD5", answer(OLD, digest), answer(OLD))
    assert (gone.facet, gone.flags) == (PRESENCE, 0)


def test_lengths_of_one_text_in_two_codings_follow_from_what_was_sent() -> None:
    """The text is equal, the bytes on the wire are not: both lengths are right about them."""
    one, two = answer(OLD, ("Content-Length", "30"), size=30), answer(OLD, ("Content-Length", "33"), size=33)

    assert about("Content-Length", one, two).flags == DERIVED


def test_a_length_that_both_announce_and_one_does_not_keep_is_a_finding() -> None:
    """The headers agree, the bodies are noisy: that one of them has another length than it says shows nowhere else."""
    length = ("Content-Length", str(len(OLD)))
    found = about("Content-Length", answer(OLD, length), answer(OTHER, length))

    assert (found.kind, found.facet, found.flags) == ("length", FORMAT, 0)
    assert about("Content-Length", answer(OLD, length), answer(NEW, length)) is None
    assert about("Content-Length", answer(OLD, length), answer(b"", length, status=304)) is None


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
def test_without_a_body_a_length_is_judged_itself(method: str, status: int) -> None:
    """On HEAD and 304 nothing else shows the body."""
    one, two = (answer(b"", ("Content-Length", size), status=status) for size in ("10", "12"))

    assert about("Content-Length", one, two, method).flags == 0


TAGS = [
    lambda data: f'"{HEX["md5"](data)}"',
    lambda data: f'W/"{HEX["sha256"](data)[:32]}"',
    lambda data: f'W/"{len(data):x}-{b64("sha1", data)[:27]}"',
    lambda data: f'"{HEX["sha1"](data)}-gzip"',
]


@pytest.mark.parametrize("made", TAGS)
def test_a_tag_that_is_a_digest_of_a_body_drawn_anew_is_forgiven(made: object) -> None:
    """The bodies differ in a uuid alone, and the tags are their digests; beside a plain change the tag stays."""
    noisy = about("ETag", answer(OLD, ("ETag", made(OLD))), answer(NEW, ("ETag", made(NEW))))
    plain = about("ETag", answer(OLD, ("ETag", made(OLD))), answer(OTHER, ("ETag", made(OTHER))))
    stale = about("ETag", answer(OLD, ("ETag", made(OLD))), answer(NEW, ("ETag", made(OTHER))))
    alone = about("ETag", answer(OLD, ("ETag", made(OLD))), answer(OLD, ("ETag", made(NEW))))

    assert (noisy.flags, noisy.klass) == (DERIVED, "hash")
    assert [found.flags for found in (plain, stale, alone)] == [0, 0, 0]


CHECKSUMS = [
    ("X-Amz-Crc32", lambda data: str(crc32(data))),
    ("X-Sum", lambda data: f"{crc32(data):08x}"),
    ("X-Body-Hash", lambda data: HEX["sha1"](data).upper()),
    ("Docker-Content-Digest", lambda data: "sha256:" + HEX["sha256"](data)),
    ("X-Checksum-Sha256", lambda data: b64("sha256", data)),
    ("X-Checksum", lambda data: b64("md5", data)),
]


@pytest.mark.parametrize(("name", "made"), CHECKSUMS)
def test_a_checksum_by_any_name_of_a_body_drawn_anew_is_forgiven(name: str, made: object) -> None:
    """The bodies differ in a uuid alone, and each checksum is that of its own; nothing else is forgiven by its looks."""
    noisy = about(name, answer(OLD, (name, made(OLD))), answer(NEW, (name, made(NEW))))
    plain = about(name, answer(OLD, (name, made(OLD))), answer(OTHER, (name, made(OTHER))))
    stale = about(name, answer(OLD, (name, made(OLD))), answer(NEW, (name, made(OTHER))))
    alone = about(name, answer(OLD, (name, made(OLD))), answer(OLD, (name, made(NEW))))

    assert [found.flags for found in (noisy, plain, stale, alone)] == [DERIVED, 0, 0, 0]


def test_a_checksum_in_another_spelling_is_a_change_though_both_are_right() -> None:
    """A noisy body explains another digest, and not another algorithm or another way to write it."""
    says = {
        "md5": HEX["md5"],
        "sha256": HEX["sha256"],
        "upper": lambda data: HEX["md5"](data).upper(),
        "base64": lambda data: b64("md5", data),
    }
    flags = [
        about("X-Sum", answer(OLD, ("X-Sum", one(OLD))), answer(NEW, ("X-Sum", two(NEW)))).flags
        for one in says.values()
        for two in says.values()
        if one is not two
    ]

    assert set(flags) == {0}


def test_a_tag_of_a_body_that_is_only_spelled_otherwise_is_forgiven() -> None:
    """Keys in another order are the same JSON; the digest of its bytes is another."""
    one, two = b'{"a": 1, "b": 2}', b'{"b": 2, "a": 1}'
    found = compare(answer(one, ("ETag", TAGS[0](one))), answer(two, ("ETag", TAGS[0](two))), Context()).differences

    assert [(d.where, d.flags) for d in found] == [("header:etag", DERIVED)]
