"""The processes of one pod: forked before any event loop runs, each with a socket to the leader.

Forked rather than spawned: a process is there in milliseconds and shares the memory of the code with the leader.
"""

import gc
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial

END_SECONDS = 5.0
"""A process whose leader has closed the socket ends at once; one that is stopped or hangs is killed after this."""


class Processes:
    """The followers of this pod, by their process ids."""

    def __init__(self, pids: list[int], sockets: list[socket.socket]) -> None:
        self.sockets = sockets
        self._pids = pids

    def end(self) -> None:
        """Wait for all of them, whose sockets are closed; the late ones are killed."""
        deadline = time.monotonic() + END_SECONDS
        for pid in self._pids:
            while os.waitpid(pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    break
                time.sleep(0.01)
        self._pids = []


def fork(count: int, work: Callable[[int, socket.socket], None]) -> Processes:
    """So many processes more, each of which does `work` with its number, from 1, and its end of a socket, and exits."""
    sockets: list[socket.socket] = []
    pids: list[int] = []
    gc.freeze()  # what is shared stays shared: a collection would write to every object
    for number in range(1, count + 1):
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            for other in (*sockets, ours):
                other.close()
            _child(partial(work, number, theirs))
        theirs.close()
        sockets.append(ours)
        pids.append(pid)
    gc.unfreeze()
    return Processes(pids, sockets)


def _child(work: Callable[[], None]) -> None:
    """Never returns. It ends when its leader does: a signal to the whole group is the leader's to act on."""
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
