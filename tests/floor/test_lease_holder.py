"""Who holds a lease can be told something, and nobody else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from echolane.lease import held, tell_holder

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
        assert holder.wait(10) == -signal.SIGTERM
    assert not tell_holder(path, signal.SIGCONT)
    with held(path, "it"):
        assert path.read_text() == str(os.getpid())
