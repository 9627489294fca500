"""Who holds a lease can be told something, and nobody else is."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from echolane import lease
from echolane.lease import held, is_held, tell_holder

HOLDER = """
import signal, sys
from pathlib import Path
from echolane.lease import held
with held(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    signal.pause()
"""


def test_the_holder_of_a_lease_is_told(tmp_path: Path) -> None:
    """A signal reaches the process that holds the lease; a file that is missing, empty, stale or of others' making reaches nobody."""
    path = tmp_path / "lease"
    assert not tell_holder(path, signal.SIGCONT)
    for text in ("", "x", str(os.getpid()), str(1 << 30), str(1 << 60)):
        path.write_text(text)
        assert not tell_holder(path, signal.SIGCONT)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        told = tell_holder(path, signal.SIGTERM)
        if not told:
            holder.kill()
        assert told
        assert holder.wait(60) == -signal.SIGTERM
    assert not tell_holder(path, signal.SIGCONT)
    with held(path, "it"):
        assert path.read_text() == str(os.getpid())


def test_who_asks_is_not_taken_for_a_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that others ask about at that moment is free, for who takes it and for each who asks."""
    monkeypatch.setattr(lease, "LOOKS", 17)  # a minute: a busy machine is slow to answer
    path = tmp_path / "lease"
    with held(path, "it"):
        assert is_held(path)
    asking = os.open(path, os.O_RDWR)
    fcntl.flock(asking, fcntl.LOCK_SH)
    assert not is_held(path)
    answered = threading.Timer(0.003, os.close, [asking])
    answered.start()
    with held(path, "it"):
        pass
    answered.join()
