"""Echolane as the first process of a container: the kernel gives it the orphans of all others there, and somebody has to take their ends.

A process that nobody takes the end of stays as a zombie, and zombies fill the container's number of processes. Who starts processes itself, as
all our commands do, must not take just any end: asyncio and subprocess wait for those of their own. So the first process starts a second
one that does the command, and does nothing but take ends and pass signals on.
"""

from __future__ import annotations

import os
import signal

PASSED_ON = frozenset((signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2))
HEARD = PASSED_ON | {signal.SIGCHLD}


def divided() -> int | None:
    """None in the process that is to do the command; in the first one its exit code, once it has ended."""
    # Blocked, a signal waits until it is asked for; else the kernel drops what the first process of a container has no handler for.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    # Who starts a container may have left the ends of children ignored, which exec keeps: then none would ever be told.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()  # nothing of ours has begun a thread yet
    if child == 0:
        os.setsid()  # a terminal's Ctrl-C reaches the first process alone, which passes it on once
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return None
    while True:
        number = signal.sigwait(HEARD)
        if number != signal.SIGCHLD:
            os.kill(child, number)  # it is there, at least as a zombie of ours: its end was not taken
        elif (code := _taken(child)) is not None:
            return code


def _taken(child: int) -> int | None:
    """Take all ends that there are; the exit code of the child, where its was one."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            found = code if code >= 0 else 128 - code  # as a shell tells it: no one can do that to the first process
