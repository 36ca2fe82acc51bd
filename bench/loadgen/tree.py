"""A process with all its children: the processor time that they took and the memory that they hold."""

import os
import re
from contextlib import suppress
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


class Tree:
    """Of one session: every process that it ever had, as far as somebody looked while it lived."""

    def __init__(self, session: int) -> None:
        self._session = session
        self._seconds: dict[int, float] = {}

    def cpu_seconds(self) -> float:
        """Of all processes so far. What a process took after the last look before its end is lost."""
        for pid in self._pids():
            with suppress(OSError):  # it has ended
                fields = _stat(pid)
                self._seconds[pid] = (int(fields[11]) + int(fields[12])) / TICK
        return sum(self._seconds.values())

    def memory_bytes(self) -> int:
        """Proportional set size of the living ones: what they share counts once."""
        total = 0
        for pid in self._pids():
            with suppress(OSError):
                found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
                total += int(found[1]) * 1024 if found else 0
        return total

    def _pids(self) -> list[int]:
        """A child that makes a session of its own is known by its parents."""
        parents, found = {}, {self._session, *self._seconds}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    fields = _stat(int(entry.name))
                    if int(fields[3]) == self._session:
                        found.add(int(entry.name))
                    parents[int(entry.name)] = int(fields[1])
        grown = True
        while grown:
            children = {pid for pid, parent in parents.items() if parent in found} - found
            found |= children
            grown = bool(children)
        return [pid for pid in found if pid in parents]


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat from the third field (the state) on: the name before it may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
