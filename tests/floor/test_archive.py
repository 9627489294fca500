"""Archives: what was packed comes out; a byte that changed, a cut, or anything that we never pack is refused before it is used."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import zstandard
from hypothesis import given, settings, strategies as st

from echolane.archive import LIST, Damaged, Reading, packing
from echolane.errors import HomeError
from echolane.whole import whole_file

FILES = {"about.json": b"{}", "home/empty": b"", "home/a/b": bytes(range(256)) * 3, "home/c": b"x" * 512}


def packed(files: dict[str, bytes], folder: Path) -> bytes:
    """An archive of these files."""
    out = io.BytesIO()
    with packing(out, folder, 1_700_000_000) as packer:
        for name, data in files.items():
            packer.add(name, data)
    return out.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    """What is in an archive."""
    reading = Reading(Path("b.tar.zst"), io.BytesIO(data))
    try:
        return {member.name: b"".join(member.pieces) for member in reading.members()}
    finally:
        reading.close()


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,20}(/[a-z0-9.]{1,9}x){0,3}", fullmatch=True), st.binary(max_size=3000), max_size=8
    )
)
def test_what_was_packed_comes_out(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    """Reading gives the names and bytes that were packed, in their order."""
    found = unpacked(packed(files, tmp_path_factory.getbasetemp()))

    assert found == files
    assert list(found) == list(files)


def test_any_tar_reads_it(tmp_path: Path) -> None:
    """An archive is a plain tar packed by zstd, whose last file lists the others."""
    data = zstandard.ZstdDecompressor().decompressobj().decompress(packed(FILES, tmp_path))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames() == [*FILES, LIST]
        assert {one.mode for one in archive} == {0o600}


def test_a_changed_byte_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    """Of an archive with one byte changed, or cut anywhere, all files are read as they were packed, or it is refused."""
    data = packed(FILES, tmp_path)
    changed = [data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :] for at in range(len(data))]
    refused = 0
    for other in [data[:at] for at in range(len(data))] + changed:
        try:
            found = unpacked(other)
        except Damaged:
            refused += 1
        else:
            assert found == FILES
    assert refused >= 2 * len(data) - 16  # a cut in the last check, or a bit that means nothing


def test_a_file_that_is_not_as_listed_is_named(tmp_path: Path) -> None:
    """Where a file's bytes, its name or its presence is not what the list says, it is refused, though it unpacks."""
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(packed(FILES, tmp_path))
    without = plain[:512] + plain[1024:]  # about.json has one block of bytes behind its header
    for other, said in (
        (plain.replace(b"x" * 512, b"x" * 511 + b"y"), "`home/c` is not as it is listed"),
        (plain.replace(b"{}", b"[]", 1), "`about.json` is not as it is listed"),
        (plain[1024:], "`home/empty` is not as it is listed"),
        (plain.replace(b'"size":0', b'"size":1'), "`home/empty` is not as it is listed"),
        (without, "is damaged"),
    ):
        with pytest.raises(Damaged, match=said):
            unpacked(zstandard.ZstdCompressor().compress(other))


def test_more_behind_the_end_is_noticed(tmp_path: Path) -> None:
    """What follows a whole archive is not of it."""
    data = packed(FILES, tmp_path)
    for more in (b"x" * 600, data):
        with pytest.raises(Damaged):
            unpacked(data + more)


def made(change: Callable[[tarfile.TarInfo], object]) -> bytes:
    """An archive as somebody else may make it."""
    entry = tarfile.TarInfo("home/keys/seal.key")
    change(entry)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(entry, io.BytesIO(b"s" * entry.size))
    return zstandard.ZstdCompressor().compress(out.getvalue())


def named(name: str) -> Callable[[tarfile.TarInfo], None]:
    """One plain file of this name."""

    def change(entry: tarfile.TarInfo) -> None:
        entry.name = name

    return change


def of_type(kind: bytes, target: str = "/etc/passwd") -> Callable[[tarfile.TarInfo], None]:
    """One member that is no plain file."""

    def change(entry: tarfile.TarInfo) -> None:
        entry.type, entry.linkname = kind, target

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (named("/etc/passwd"), "leads elsewhere"),
        (named("home/../../x"), "leads elsewhere"),
        (named(".."), "leads elsewhere"),
        (named("home//x"), "leads elsewhere"),
        (named("home/./x"), "leads elsewhere"),
        (named("home\\..\\x"), "leads elsewhere"),
        (named("home/a\nb"), "leads elsewhere"),
        (named("/".join("d" * 20)), "leads elsewhere"),
        (named("n" * 300), "is no plain file"),
        (of_type(tarfile.SYMTYPE), "is no plain file"),
        (of_type(tarfile.LNKTYPE), "is no plain file"),
        (of_type(tarfile.DIRTYPE), "is no plain file"),
        (of_type(tarfile.FIFOTYPE), "is no plain file"),
        (of_type(tarfile.CHRTYPE), "is no plain file"),
        (named("home/x"), "its list of files is missing"),
    ],
)
def test_what_we_never_pack_is_refused(change: Callable[[tarfile.TarInfo], object], said: str) -> None:
    """Links, devices, folders and names that lead elsewhere are refused, and so is a tar without a list."""
    with pytest.raises(Damaged, match=said):
        unpacked(made(change))


def test_a_file_that_shrinks_is_said(tmp_path: Path) -> None:
    """A file that has fewer bytes than it had when it was looked at cannot be packed as it was."""
    with pytest.raises(HomeError, match="became shorter"), packing(io.BytesIO(), tmp_path, 0) as packer:
        packer.take("home/x", io.BytesIO(b"short"), 6)


@pytest.mark.parametrize("nameless", [True, False])
def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nameless: bool) -> None:
    """A file that is written in pieces replaces the one before when all of it is there; one that fails leaves that one, and nothing else."""
    if not nameless:
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)  # what a file system without them says: it is a folder
    path = tmp_path / "b.tar.zst"
    path.with_name(f".{path.name}.part").touch(0o666)  # which somebody else could read
    with whole_file(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"
    with pytest.raises(TypeError), whole_file(path) as file:
        file.write(cast("bytes", "two"))
    assert path.read_bytes() == b"one"
    assert [one.name for one in tmp_path.iterdir()] == ["b.tar.zst"]
    assert path.stat().st_mode & 0o777 == 0o600
