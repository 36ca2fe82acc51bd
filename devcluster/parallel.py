"""Several long steps at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


def together(*tasks: Callable[[], None]) -> None:
    """Run the tasks in threads until all are done; the first failure is raised at once.

    The threads are daemons: when a failure ends the program, the processes that
    they wait for are ended by the kernel (process.mortal).
    """
    results: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def guarded(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:
            results.put(error)
        else:
            results.put(None)

    for task in tasks:
        threading.Thread(target=guarded, args=(task,), daemon=True).start()
    for _ in tasks:
        if error := results.get():
            raise error
