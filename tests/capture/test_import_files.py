"""Imports as a whole: real files, all or nothing, the ledger, bounded memory, the command."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from capture.account import total_ledger
from capture.importing import format_of, import_files
from capture.importing.gor import SEPARATOR
from console.main import main
from echolane.errors import HomeError, Inconclusive, JournalDown, JournalFull, UsageError
from echolane.exchange import Exchange
from echolane.frame import decode_frame
from echolane.home import Home, open_home
from echolane.journal import open_journal
from echolane.journal.sqlite import SqliteJournal
from echolane.keys import load_seal_keys
from echolane.ledger import capture_identities
from echolane.recordings import listed, load, topic_of
from echolane.seal import open_seal
from echolane.settings import Capture, Settings

HAR_MB = int(os.environ.get("ECHOLANE_HAR_MB", "200"))
"""How large the largest HAR is; 2048 takes half a minute of CPU and some 3 GB of the disk."""
INPUTS = Path(os.environ.get("ECHOLANE_INPUTS_DIR", "/nowhere"))
SETTINGS = Settings()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A fresh home."""
    return open_home(tmp_path / "home")


def needs_inputs(part: str) -> Path:
    """A folder of the real inputs; a skip without them, a failure where every part must be there."""
    folder = INPUTS / part
    if not folder.is_dir():
        reason = f"needs {part} under ECHOLANE_INPUTS_DIR"
        if os.environ.get("ECHOLANE_REQUIRE_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def exchanges_of(home: Home, recording: str) -> list[Exchange]:
    """What a recording holds, in the order of a run, seals opened."""
    chosen = load(home.recordings, recording)
    journal, keys = open_journal(home.path), load_seal_keys(home.keys, {})
    try:
        frames = [
            entry.frame
            for span in chosen.ranges
            for entry in journal.read(topic_of(chosen.service), span.partition, span.start, span.stop)
        ]
    finally:
        journal.close()
    found = [e for frame in frames for e in decode_frame(frame, Exchange) if chosen.tags.items() <= e.tags.items()]
    assert chosen.exchanges == len(found)
    for e in found:
        assert e.service == chosen.service
    found.sort(key=lambda e: (e.captured_at_ns, e.agent, e.epoch, e.seq))
    return [
        Exchange(
            **{
                **{name: getattr(e, name) for name in e.__struct_fields__},
                "request": open_seal(e.request, e.seal, keys) if e.seal else e.request,
            }
        )
        for e in found
    ]


def entry(n: int, **more: object) -> dict[str, object]:
    """A small entry, one second after the one before."""
    return {
        "startedDateTime": f"2025-01-01T00:{n // 60:02d}:{n % 60:02d}Z",
        "time": 1,
        "request": {"method": "GET", "url": f"http://h/{n}", "headers": []},
        "response": {"status": 200, "headers": [], "content": {"text": "x", "size": 1}},
        **more,
    }


def write_har(path: Path, entries: list[dict[str, object]]) -> Path:
    """A HAR file with these entries."""
    path.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}))
    return path


def stored(home: Home, service: str = "shop") -> int:
    """How many entries the journal holds of a service."""
    journal = open_journal(home.path)
    try:
        topic = topic_of(service)
        return sum(journal.end(topic, p) for p in range(journal.partitions(topic))) if topic in journal.topics() else 0
    finally:
        journal.close()


@pytest.mark.inputs
def test_the_recording_of_a_pair_imports_to_its_workload(home):
    """117 entries written by mitmproxy become the requests of the workload made of them, in order."""
    folder = needs_inputs("pairs/pypiserver")
    summary = import_files(home, "shop", [folder / "traffic.har"], None, SETTINGS)
    assert summary.counts == {"seen": 117, "stored": 117, "spooled": 0}
    assert capture_identities(summary.counts) == []
    wanted = [json.loads(line) for line in (folder / "workload.jsonl").read_text("utf-8").splitlines()]
    found = exchanges_of(home, summary.recording)
    assert [(e.request.method, e.request.target, e.request.body.data) for e in found] == [
        (w["method"], w["path"], base64.b64decode(w["body_b64"]) if "body_b64" in w else w.get("body", "").encode())
        for w in wanted
    ]
    for e, w in zip(found, wanted, strict=True):
        have = {(name.lower(), value) for name, value in e.request.headers}
        assert {(name.lower().encode(), value.encode("latin-1")) for name, value in w["headers"]} <= have
        assert e.response is not None


@pytest.mark.inputs
@pytest.mark.parametrize(
    "name", ["chrome", "firefox", "safari", "charles", "insomnia", "postdata", "with-bom", "head-content-length"]
)
def test_exports_of_every_producer(home, name):
    """Each producer's export gives the requests that mitmproxy reads from it."""
    folder = needs_inputs("suites/mitmproxy/har_files")
    summary = import_files(home, "shop", [folder / f"{name}.har"], None, SETTINGS)
    wanted = json.loads((folder / f"{name}.json").read_text("utf-8"))
    found = exchanges_of(home, summary.recording)
    entries = json.loads((folder / f"{name}.har").read_bytes().decode("utf-8-sig"))["log"]["entries"]
    order = sorted(range(len(entries)), key=lambda n: entries[n]["startedDateTime"])
    assert [(e.request.method, e.request.scheme, e.request.target) for e in found] == [
        (wanted[n]["request"]["method"], wanted[n]["request"]["scheme"], wanted[n]["request"]["path"]) for n in order
    ]
    for e, n in zip(found, order, strict=True):
        status = entries[n]["response"]["status"]
        assert (e.response.status if e.response else 0) == status
        assert not any(header.startswith(b":") for header, _ in e.request.headers)
        if wanted[n]["request"].get("contentLength"):
            assert len(e.request.body.data) == wanted[n]["request"]["contentLength"]


@pytest.mark.inputs
@pytest.mark.parametrize(
    "part",
    ["suites/haralyzer", "suites/mitmproxy/corrupted_har", "suites/mitmproxy/har_files", "suites/mitmproxy/flows"],
)
def test_every_har_imports_or_says_why_not(home, part):
    """Each sample file is imported with a balanced ledger, or refused by one line; nothing else is raised."""
    for path in sorted([*needs_inputs(part).glob("*.har"), *needs_inputs(part).glob("broken*")]):
        try:
            summary = import_files(home, "shop", [path], "har", SETTINGS)
        except (UsageError, Inconclusive) as error:
            assert "\n" not in str(error)  # noqa: PT017 - most files import
            continue
        assert capture_identities(summary.counts) == []
        assert len(exchanges_of(home, summary.recording)) == summary.counts["stored"]
    assert capture_identities(total_ledger(home, "shop")) == []


def test_a_recording_is_exactly_its_import(home, tmp_path):
    """Two imports of one service are two recordings, each with its own exchanges; the service's ledger has both."""
    one = import_files(home, "shop", [write_har(tmp_path / "a.har", [entry(n) for n in range(5)])], None, SETTINGS)
    two = import_files(home, "shop", [write_har(tmp_path / "b.har", [entry(n) for n in range(5, 8)])], None, SETTINGS)
    assert [e.request.target for e in exchanges_of(home, one.recording)] == [f"/{n}" for n in range(5)]
    assert [e.request.target for e in exchanges_of(home, two.recording)] == ["/5", "/6", "/7"]
    assert total_ledger(home, "shop") == {"seen": 8, "stored": 8, "spooled": 0}
    assert [r.source for r in listed(home.recordings)] == ["import of a.har", "import of b.har"]


def test_order_is_that_of_the_times(home, tmp_path):
    """Entries of a file are numbered by their times, whatever their order and zones in it."""
    entries = [
        entry(3),
        entry(1),
        {**entry(2), "startedDateTime": "2025-01-01T02:00:02+02:00"},
        {**entry(4), "startedDateTime": None},
    ]
    summary = import_files(home, "shop", [write_har(tmp_path / "a.har", entries)], None, SETTINGS)
    found = sorted(exchanges_of(home, summary.recording), key=lambda e: e.seq)
    # One without a time stands where it stood: behind the third, which is of second 2.
    assert [e.request.target for e in found] == ["/1", "/2", "/4", "/3"]
    assert summary.notes == {"times-missing": 1}


def test_sessions(home, tmp_path):
    """A cookie tells whose an exchange is, else the connection it came on."""

    def asked(n: int, cookie: str = "", connection: str = "") -> dict[str, object]:
        headers = [{"name": "Cookie", "value": f"sid={cookie}"}] if cookie else []
        return entry(n, request={"method": "GET", "url": "http://h/", "headers": headers}, connection=connection)

    entries = [
        asked(0, "alicealice1", "1"),
        asked(1, "alicealice1", "2"),
        asked(2, "bobbobbob22", "1"),
        asked(3, connection="1"),
        asked(4, connection="1"),
        asked(5, connection="2"),
    ]
    summary = import_files(home, "shop", [write_har(tmp_path / "a.har", entries)], None, SETTINGS)
    a, b, c, d, e, f = (found.session for found in exchanges_of(home, summary.recording))
    assert a == b
    assert d == e
    assert len({a, c, d, f}) == 4


def test_dropped_exchanges_are_counted_by_reason(home, tmp_path):
    """Filters, websockets, data URLs and entries without a request stand in the ledger, which balances."""
    skipped = [
        {"method": "GET", "url": url, "headers": []}
        for url in ("data:,x", "blob:http://h/1", "wss://h/", "http://h/healthz")
    ]
    entries = [entry(0), *[entry(n, request=request) for n, request in enumerate(skipped, 1)], {}]
    settings = Settings(capture=Capture(not_paths=["/healthz"]))
    summary = import_files(home, "shop", [write_har(tmp_path / "a.har", entries)], None, settings)
    assert summary.counts == {
        "seen": 6, "stored": 1, "spooled": 0, "dropped{not-http}": 2, "dropped{websocket}": 1, "dropped{filtered}": 1, "dropped{unparseable}": 1,
    }  # fmt: skip
    assert capture_identities(summary.counts) == []


def test_a_broken_file_leaves_nothing_behind(home, tmp_path):
    """A file cut at its end is refused with the byte, and neither it nor a sound file beside it is stored."""
    good = write_har(tmp_path / "good.har", [entry(0)])
    text = write_har(tmp_path / "bad.har", [entry(n) for n in range(50)]).read_bytes()
    for broken, what in (
        (text[:-20], "byte [0-9]+: the file ends"),
        (text.replace(b'"time": 1', b'"time": 1x', 30), "this is not JSON"),
    ):
        (tmp_path / "bad.har").write_bytes(broken)
        with pytest.raises(UsageError, match=what):
            import_files(home, "shop", [good, tmp_path / "bad.har"], None, SETTINGS)
    with pytest.raises(UsageError, match=r"missing\.har cannot be read"):
        import_files(home, "shop", [good, tmp_path / "missing.har"], None, SETTINGS)
    with pytest.raises(UsageError, match="is a folder"):
        import_files(home, "shop", [tmp_path], None, SETTINGS)
    assert stored(home) == 0
    assert listed(home.recordings) == []
    assert total_ledger(home, "shop") == {}


def test_an_empty_har_is_no_recording(home, tmp_path):
    """Nothing to import is inconclusive, not a recording of nothing."""
    with pytest.raises(Inconclusive, match="no exchanges"):
        import_files(home, "shop", [write_har(tmp_path / "a.har", [])], None, SETTINGS)
    assert listed(home.recordings) == []


def test_a_full_journal_ends_the_import(home, tmp_path, monkeypatch):
    """A journal without room is an error that says so; there is no half recording, and the ledger balances."""

    def full(self, topic, partition, frames):
        raise JournalFull("full")

    monkeypatch.setattr(SqliteJournal, "append", full)
    with pytest.raises(JournalFull, match="free space and import again"):
        import_files(home, "shop", [write_har(tmp_path / "a.har", [entry(0)])], None, SETTINGS)
    assert listed(home.recordings) == []
    assert total_ledger(home, "shop") == {"seen": 1, "stored": 0, "spooled": 0, "dropped{journal-full}": 1}


def test_a_journal_that_does_not_answer_ends_the_import_with_its_words(home, tmp_path, monkeypatch):
    """Who imports is told why the journal took not all, not only that it did not; there is no recording, and the ledger balances."""

    def away(self, topic, partition, frames):
        raise JournalDown("no broker of kafka-1:9092 answers")

    monkeypatch.setattr(SqliteJournal, "append", away)
    with pytest.raises(HomeError, match=r"import again: no broker of kafka-1:9092 answers$"):
        import_files(home, "shop", [write_har(tmp_path / "a.har", [entry(0)])], None, SETTINGS)
    assert listed(home.recordings) == []
    assert total_ledger(home, "shop") == {"seen": 1, "stored": 0, "spooled": 0, "dropped{journal-unavailable}": 1}


def test_lone_surrogates_stand_for_bytes(home, tmp_path):
    """Python's JSON writes bytes that are no UTF-8 as lone surrogates; the body gets those bytes back."""
    body = "a\udcffb"
    path = write_har(
        tmp_path / "a.har",
        [entry(0, request={"method": "POST", "url": "http://h/", "headers": [], "postData": {"text": body}})],
    )
    summary = import_files(home, "shop", [path], None, SETTINGS)
    assert exchanges_of(home, summary.recording)[0].request.body.data == b"a\xffb"


def test_formats_are_guessed(tmp_path):
    """The name tells the format, else the first bytes do; anything else is refused."""
    for name, data, found in (
        ("a.HAR", b"", "har"), ("a.har.gz", b"", "har"), ("a_3.gor", b"", "gor"), ("a.gor.gz", b"", "gor"), ("a.json", b'\xef\xbb\xbf {"log"', "har"),
        ("a.log", b"1 ab 5 0\nGET", "gor"), ("a.gz", gzip.compress(b'{"log"'), "har"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(data)
        assert format_of(tmp_path / name) == found
    (tmp_path / "a.txt").write_bytes(b"hello")
    with pytest.raises(UsageError, match="neither HAR nor GoReplay"):
        format_of(tmp_path / "a.txt")


def test_the_command(home, tmp_path, capsys):
    """Stdout is the id alone (or JSON), the ledger and the notes are talk; exit codes are 0, 2 and 3."""
    path = write_har(tmp_path / "a.har", [entry(0), entry(1, response={"status": 0})])
    (tmp_path / "b.gor").write_bytes(b"1 0a 5 0\nGET / HTTP/1.1\r\nHost: h\r\n\r\n" + SEPARATOR)
    common = ["--service", "shop", "--home", str(home.path)]
    assert main(["import", str(path), *common]) == 0
    out, err = capsys.readouterr()
    assert load(home.recordings, out.strip()).exchanges == 2
    assert "seen 2 = stored 2\n" in err
    assert "note: 1 requests without an answer" in err
    assert main(["import", str(path), str(tmp_path / "b.gor"), "--json", *common]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["counts"] == {"seen": 3, "stored": 3, "spooled": 0}
    assert shown["notes"] == {"answers-missing": 2}
    assert len(exchanges_of(home, shown["recording"])) == 3
    assert main(["import", str(path), "--format", "gor", *common]) == 2
    assert main(["import", str(write_har(path, [])), *common]) == 3
    assert capsys.readouterr().err.count("\n") == 2


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
def test_memory_is_bounded(tmp_path, packed):
    """A HAR of 200 MB (or of ``ECHOLANE_HAR_MB``), with entries of 20 MB and out of order, is imported in at most 256 MiB."""
    count = 9 * HAR_MB
    path = tmp_path / ("big.har.gz" if packed else "big.har")
    with gzip.open(path, "wb", 1) if packed else path.open("wb") as file:
        file.write(b'{"log": {"version": "1.2", "entries": [')
        for n in range(count):
            text = ('a\\"é' * 9000) if n % 1000 else ("b\n" * 5_000_000)
            one = {
                **entry((n * 7) % 3600),
                "response": {"status": 200, "headers": [], "content": {"mimeType": "text/plain", "text": text}},
            }
            file.write((b"," if n else b"") + json.dumps(one).encode())
        file.write(b"]}}")
    script = (
        "import re, sys; from console.main import main; code = main(sys.argv[1:]);"
        # ru_maxrss would also count what the process that started us weighs.
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "import", str(path), "--service", "shop", "--home", str(tmp_path / "home")],
        capture_output=True, text=True, timeout=max(120, HAR_MB), check=False, cwd=Path(__file__).parents[2],
        env={name: value for name, value in os.environ.items() if name != "ECHOLANE_HAR_MB"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"seen {count} = stored {count}" in done.stderr
    assert int(done.stderr.splitlines()[-1]) <= 256 * 1024
