"""A wall clock that a test can set, for processes that it starts: the machine's own stays as it is, and others go by that.

A small library that is loaded before libc answers for CLOCK_REALTIME, moved by what a file says; CLOCK_MONOTONIC is the machine's.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

HOUR_S = 3600
_SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long long *moved_s;

__attribute__((constructor)) static void open_clock(void) {
    const char *path = getenv("TEST_WALL_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *page = mmap(0, sizeof *moved_s, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) moved_s = page;
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int wrong = syscall(SYS_clock_gettime, clock, now);
    if (!wrong && moved_s && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *moved_s;
    return wrong;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec found;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &found)) return -1;
    now->tv_sec = found.tv_sec;
    now->tv_usec = found.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *kept) {
    struct timespec found;
    if (clock_gettime(CLOCK_REALTIME, &found)) return -1;
    if (kept) *kept = found.tv_sec;
    return found.tv_sec;
}
"""


class WallClock:
    """The wall clock of whoever has :attr:`environ`."""

    def __init__(self, folder: Path, lacking: Callable[[str], NoReturn]) -> None:
        compiler = shutil.which("cc") or lacking("needs a C compiler (cc) for a clock that can be set")
        self._path, library, source = folder / "clock", folder / "clock.so", folder / "clock.c"
        self._path.write_bytes(bytes(8))
        source.write_text(_SOURCE, "ascii")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True, timeout=120)
        self.environ = {"LD_PRELOAD": str(library), "TEST_WALL_CLOCK": str(self._path)}

    def set(self, moved_s: int) -> None:
        """So far ahead of the machine's own, from now on."""
        with self._path.open("r+b") as file:
            file.write(struct.pack("<q", moved_s))
