"""One timer that is set again and again to an absolute moment of the monotonic clock.

Event loops round their timers to milliseconds (libuv, and with it uvloop, counts in them), a tenth of a decode
step. Linux' timerfd keeps nanoseconds; Python has it from 3.13 on, so the three system calls go through ctypes.
Where there is none, the loop's own timer has to do.
"""

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
_NANO = 1_000_000_000


class Alarm:
    """Calls `ring` once at each moment it is set to; setting it anew forgets the one before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        self._timer = _TimerFd() if sys.platform == "linux" else None
        if self._timer:
            loop.add_reader(self._timer.fd, self._expired)

    def set(self, at: int) -> None:
        """Ring at `at` (nanoseconds of `time.monotonic_ns`), at once where that has passed."""
        if self._timer:
            self._timer.set(at)
            return
        if self._handle:
            self._handle.cancel()
        self._handle = self._loop.call_later((at - time.monotonic_ns()) / _NANO, self._ring)

    def close(self) -> None:
        """Never ring again."""
        if self._timer:
            self._loop.remove_reader(self._timer.fd)
            self._timer.close()
        if self._handle:
            self._handle.cancel()

    def _expired(self) -> None:
        assert self._timer
        if self._timer.expired():
            self._ring()


class _ITimerSpec(ctypes.Structure):
    """struct itimerspec of timerfd_settime(2): interval, then the first expiry."""

    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class _TimerFd:
    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        # TFD_NONBLOCK and TFD_CLOEXEC are O_NONBLOCK and O_CLOEXEC (timerfd_create(2)).
        self.fd: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._spec = _ITimerSpec()
        self._pointer = ctypes.byref(self._spec)

    def set(self, at: int) -> None:
        self._spec.seconds, self._spec.nanoseconds = divmod(max(at, 1), _NANO)  # all zeros would disarm it
        if self._libc.timerfd_settime(self.fd, _TFD_TIMER_ABSTIME, self._pointer, None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def expired(self) -> bool:
        try:
            os.read(self.fd, 8)
        except BlockingIOError:  # set anew between the wake-up and here
            return False
        return True

    def close(self) -> None:
        os.close(self.fd)
