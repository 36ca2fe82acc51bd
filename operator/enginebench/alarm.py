"""One timer that is set again and again to an absolute moment of the monotonic clock.

Event loops round their timers to milliseconds (libuv, and with it uvloop, counts in them), a tenth of a decode
step. Linux' timerfd keeps nanoseconds. Where there is none, the loop's own timer has to do.
"""

import asyncio
import time
from collections.abc import Callable

from enginebench import timerfd

_NANO = 1_000_000_000


class Alarm:
    """Calls `ring` once at each moment it is set to; setting it anew forgets the one before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        self._timer = timerfd.TimerFd() if timerfd.AVAILABLE else None
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
