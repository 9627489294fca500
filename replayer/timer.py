"""One absolute timer on the event loop, exact to tens of microseconds.

``loop.call_later`` rounds to the millisecond of epoll and of libuv; a timerfd that is readable at an absolute instant of
CLOCK_MONOTONIC does not. Before Python 3.13 libc is called by ctypes. Where there is no timerfd (not Linux, a sandbox that
forbids it), ``loop.call_at`` serves, and lateness grows to about a millisecond.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import Callable

_CLOCK_MONOTONIC, _TFD_TIMER_ABSTIME = 1, 1
_TFD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC


class _Timespec(ctypes.Structure):
    """struct timespec."""

    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    """struct itimerspec: the interval (unused) and the instant."""

    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Timer:
    """Calls ``ring()`` once the monotonic clock has reached the instant that was set last."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None], *, precise: bool = True) -> None:
        self._loop = loop
        self._ring = ring
        self._set_ns = 0
        self._handle: asyncio.TimerHandle | None = None
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._spec = _Itimerspec()
        self._fd = self._open() if precise else -1
        if self._fd >= 0:
            loop.add_reader(self._fd, self._readable)

    def __repr__(self) -> str:
        return f"<Timer {'timerfd' if self._fd >= 0 else 'call_at'}, {'set' if self._set_ns else 'idle'}>"

    @property
    def precise(self) -> bool:
        """Whether a timerfd drives it."""
        return self._fd >= 0

    def set(self, mono_ns: int) -> None:
        """Ring at this instant (CLOCK_MONOTONIC, ns), instead of any other; an instant that has passed rings at once."""
        if mono_ns == self._set_ns:
            return
        self._set_ns = mono_ns
        if self._fd < 0:
            if self._handle:
                self._handle.cancel()
            wait_s = max(0, mono_ns - time.monotonic_ns()) / 1e9
            self._handle = self._loop.call_later(wait_s, self._rung)
            return
        value = self._spec.value
        value.seconds, value.nanoseconds = divmod(max(mono_ns, 1), 1_000_000_000)  # 0 would disarm it
        if self._libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(self._spec), None):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def close(self) -> None:
        """Never ring again."""
        if self._handle:
            self._handle.cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        try:
            return int(self._libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_FLAGS))
        except AttributeError:  # a libc without it
            return -1

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):  # set anew between epoll and here
            os.read(self._fd, 8)
            self._rung()

    def _rung(self) -> None:
        self._set_ns = 0
        self._ring()
