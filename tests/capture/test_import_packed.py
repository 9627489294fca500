"""Packed files: what is in them is imported as if it stood there, and what is damaged or made to hurt is one clear line."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from capture.importing import format_of, import_files, packed
from console.main import main
from echolane.errors import UsageError
from echolane.home import Home, open_home
from echolane.ledger import capture_identities
from tests.capture.test_import_files import SETTINGS, entry, exchanges_of, needs_inputs, stored, write_har

PACKS: dict[str, Callable[[bytes], bytes]] = {"zhar": zlib.compress, "har.gz": gzip.compress}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A fresh home."""
    return open_home(tmp_path / "home")


@pytest.fixture
def text(tmp_path: Path) -> bytes:
    """A HAR of 40 entries, whose bodies do not pack well."""
    body = {"status": 200, "headers": [], "content": {"text": os.urandom(60_000).hex(), "mimeType": "text/plain"}}
    return write_har(tmp_path / "plain.har", [entry(n, response=body) for n in range(40)]).read_bytes()


@pytest.mark.parametrize("ending", list(PACKS))
@pytest.mark.parametrize("named", [True, False])
def test_what_is_packed_is_imported_as_if_it_stood_there(home, tmp_path, text, ending, named):
    """A packed HAR gives the exchanges of the plain one, told by its name or by its content."""
    path = tmp_path / (f"shop.{ending}" if named else "export")
    path.write_bytes(PACKS[ending](text))
    assert format_of(path) == "har"
    plain = import_files(home, "plain", [tmp_path / "plain.har"], None, SETTINGS)
    found = import_files(home, "shop", [path], None, SETTINGS)
    assert capture_identities(found.counts) == []
    assert found.counts == plain.counts == {"seen": 40, "stored": 40, "spooled": 0}
    ours, theirs = ([e.response for e in exchanges_of(home, one.recording)] for one in (found, plain))
    assert ours == theirs


@pytest.mark.inputs
def test_the_zhar_of_mitmproxy(home):
    """A file that mitmproxy wrote is imported whole."""
    path = needs_inputs("suites/mitmproxy/flows") / "compressed.zhar"
    found = import_files(home, "shop", [path], None, SETTINGS)
    assert found.counts["stored"] == len(exchanges_of(home, found.recording)) > 0
    assert capture_identities(found.counts) == []


@pytest.mark.parametrize("ending", list(PACKS))
@pytest.mark.parametrize("harm", ["cut", "flipped", "cut to nothing"])
def test_a_damaged_one_is_refused(home, tmp_path, text, ending, harm):
    """Cut or changed: one line, and nothing of it is stored."""
    data = bytearray(PACKS[ending](text))
    if harm == "flipped":
        data[len(data) // 2] ^= 0xFF
    del data[{"cut": -9, "flipped": len(data), "cut to nothing": 4}[harm] :]
    path = tmp_path / f"shop.{ending}"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="damaged or cut after") as caught:
        import_files(home, "shop", [path], None, SETTINGS)
    assert "\n" not in str(caught.value)
    assert stored(home) == 0


def test_bytes_behind_a_zlib_stream_are_refused(home, tmp_path, text):
    """Something else behind its end is no HAR that anybody packed."""
    (tmp_path / "shop.zhar").write_bytes(zlib.compress(text) + b"more")
    with pytest.raises(UsageError, match="damaged"):
        import_files(home, "shop", [tmp_path / "shop.zhar"], None, SETTINGS)


@pytest.mark.parametrize("ending", list(PACKS))
def test_a_bomb_is_refused_before_the_disk_is_full(home, tmp_path, ending, monkeypatch):
    """No more than the limit is unpacked of what packs like nothing that is a log."""
    monkeypatch.setattr(packed, "RATIO_FREE_BYTES", 4 << 20)
    written = 0
    real = packed._pieces

    def counted(*words):
        nonlocal written
        for piece in real(*words):
            written += len(piece)
            yield piece

    monkeypatch.setattr(packed, "_pieces", counted)
    path = tmp_path / f"bomb.{ending}"
    path.write_bytes(PACKS[ending](b'{"log": {"entries": [' + b" " * (100 << 20) + b"]}}"))
    with pytest.raises(UsageError, match="unpacks to more than 300 times"):
        import_files(home, "shop", [path], None, SETTINGS)
    assert written <= packed.RATIO_MAX * path.stat().st_size + packed.PIECE_BYTES
    assert stored(home) == 0


def test_a_zip_archive_is_named(home, tmp_path, text, capsys):
    """Exit 2 with what it is and what to do."""
    path = tmp_path / "shop.zhar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("shop.har", text)
    assert main(["import", str(path), "--service", "shop", "--home", str(home.path)]) == 2
    assert capsys.readouterr().err == f"echolane: {path} is a ZIP archive; unpack it and import the files in it\n"
