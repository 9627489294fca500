"""A network of a test's own whose packets fail: a namespace of the kernel, with rules of `iptables` on its loopback.

Who is in it and whatever is started from there see 127.0.0.1 as always, and nothing else of this machine's network. The rules
touch nobody else, and go with the namespace. That it works here is tried, so what is missing has a name.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import re
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.conftest import missing, required_program
from tests.waiting import wait_until

DROP, RESET = KINDS = ("drop", "reset")
SEED = int(os.environ.get("ECHOLANE_SEED", "0")) or random.randrange(1 << 30)
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET."""
_FLAGS_OF, _UP = 0x8914, 1
"""SIOCSIFFLAGS and IFF_UP."""
_VERDICTS = {
    DROP: ["-j", "DROP"],
    # A reset that is refused with a reset would never arrive.
    RESET: ["!", "--tcp-flags", "RST", "RST", "-j", "REJECT", "--reject-with", "tcp-reset"],
}


def dice_of(test: str) -> random.Random:
    """The test's own randomness; its seed is printed, so a failure can be had again with ECHOLANE_SEED."""
    print(f"{test}: ECHOLANE_SEED={SEED}", flush=True)
    return random.Random(f"{test} {SEED}")


class Net:
    """The rules of the namespace that this thread is in."""

    def __init__(self, program: str) -> None:
        self._program = program

    def __repr__(self) -> str:
        return f"<Net, {self.hits()} packets failed>"

    def _rules(self, *words: object) -> str:
        command = [self._program, "-w", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    @contextmanager
    def fault(self, kind: str, port: int, after: int = 0) -> Iterator[None]:
        """While the block lasts all packets to and from a port are dropped, or answered with a reset; ``after`` so many bytes to it."""
        try:
            if after:
                self._rules(
                    "-A", "INPUT", "-p", "tcp", "--dport", port, "-m", "quota", "--quota", after, "-j", "ACCEPT"
                )
            else:
                self._rules("-A", "INPUT", "-p", "tcp", "--sport", port, *_VERDICTS[kind])
            self._rules("-A", "INPUT", "-p", "tcp", "--dport", port, *_VERDICTS[kind])
            yield
        finally:
            self._rules("-F", "INPUT")

    def hits(self) -> int:
        """How many packets the fault has taken."""
        listed = self._rules("-L", "INPUT", "-v", "-x", "-n")
        return sum(int(taken) for taken in re.findall(r"^\s*(\d+)\s+\d+\s+(?:DROP|REJECT)\s", listed, re.MULTILINE))

    def wait_hit(self, alive: Callable[[], object] = lambda: True) -> None:
        """Wait until the fault has met somebody, who must be at work until then."""

        def met() -> bool:
            at_work = alive()
            hits = self.hits()
            assert hits or at_work, "it was over before the network failed"
            return bool(hits)

        wait_until(met)

    def burst(self, dice: random.Random, port: int, alive: Callable[[], object] = lambda: True) -> None:
        """Reset whatever is said on a port, until that has met somebody and for a moment longer."""
        with self.fault(RESET, port):
            self.wait_hit(alive)
            time.sleep(dice.uniform(0.0, 0.4))


@contextmanager
def own_network() -> Iterator[Net]:
    """Who asks, and whatever that thread starts, in a network of its own; skips where there can be none."""
    net = Net(required_program("iptables", hint="apt-get install iptables"))
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_NEW_NETWORK):
            missing(f"needs the right to a network namespace of its own: unshare: {os.strerror(ctypes.get_errno())}")
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
                fcntl.ioctl(any_socket, _FLAGS_OF, struct.pack("16sh14x", b"lo", _UP))
            try:
                for kind in KINDS:
                    with net.fault(kind, 9, after=1):
                        net.hits()
            except OSError as error:
                missing(f"needs a kernel with the rules of iptables: {error}")
            yield net
        finally:
            if libc.setns(before, _NEW_NETWORK):
                raise OSError(ctypes.get_errno(), "this thread cannot go back to its network")
    finally:
        os.close(before)
