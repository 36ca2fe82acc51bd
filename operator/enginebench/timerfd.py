"""Linux' timerfd, which keeps nanoseconds where event loops round their timers to milliseconds (libuv counts in them).

Python has it from 3.13 on; for older ones the three system calls go through ctypes.
"""

import ctypes
import os
import sys

_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
_NANO = 1_000_000_000

AVAILABLE = sys.platform == "linux"


class _ITimerSpec(ctypes.Structure):
    """struct itimerspec of timerfd_settime(2): interval, then the first expiry."""

    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class TimerFd:
    """A timer of the monotonic clock that is read as a file: `fd` is readable once it has expired."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        # TFD_NONBLOCK and TFD_CLOEXEC are O_NONBLOCK and O_CLOEXEC (timerfd_create(2)).
        self.fd: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._spec = _ITimerSpec()
        self._pointer = ctypes.byref(self._spec)

    def set(self, at: int, every: int = 0) -> None:
        """Expire at `at` (nanoseconds of `time.monotonic_ns`), at once where that has passed, and then `every` so many."""
        self._spec.interval_seconds, self._spec.interval_nanoseconds = divmod(every, _NANO)
        self._spec.seconds, self._spec.nanoseconds = divmod(max(at, 1), _NANO)  # all zeros would disarm it
        if self._libc.timerfd_settime(self.fd, _TFD_TIMER_ABSTIME, self._pointer, None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def expired(self) -> int:
        """How often it has expired since this was asked last."""
        try:
            return int.from_bytes(os.read(self.fd, 8), sys.byteorder)
        except BlockingIOError:  # set anew between the wake-up and here
            return 0

    def close(self) -> None:
        os.close(self.fd)
