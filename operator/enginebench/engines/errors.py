"""The errors in the log of an engine that is written in Python: how its tracebacks end, the root cause first."""

import re

MOST_ERRORS = 8
MOST_LINES = 8
"""Of one error."""
MOST_CHARACTERS = 600
"""Of one error."""

_PREFIX = re.compile(r"(?:\([\w ]+ pid=\d+\) )?(?:(?:ERROR|CRITICAL) [-0-9]+ [0-9:,.]+ \[[^\]]*\] )?")
"""vLLM names the process, and the place in the code."""
_ERROR = re.compile(r"(?:\w+\.)*[A-Z]\w*(?:Error|Exception|Timeout|Interrupt|Exit)(?::|$)")
"""`httpx2.ReadTimeout: The read operation timed out`"""
_NOT_OF_IT = re.compile(
    r"Traceback \(most recent call last\)|\s|During handling of|The above exception|\[|(?:INFO|WARNING|ERROR) "
)
"""What ends the words of an error: the next traceback, or another line of the log."""
_ADVICE = re.compile(r"For more (?:information|details)\b")
"""Where to read on, as HTTP libraries have it; the room is needed for what happened."""


def errors_in(log: str) -> tuple[str, ...]:
    """Each error once, its words in one line, in the order of the log."""
    found: dict[str, None] = {}
    lines: list[str] = []
    for raw in [*log.splitlines(), "Traceback (most recent call last)"]:
        line = raw[_PREFIX.match(raw).end() :]  # type: ignore[union-attr]  # it matches nothing at least
        if _ERROR.match(line) or (lines and (_NOT_OF_IT.match(line) or len(lines) == MOST_LINES)):
            if lines:
                found[" ".join(" ".join(lines).split())[:MOST_CHARACTERS]] = None
            lines = [line] if _ERROR.match(line) else []
        elif lines and not _ADVICE.match(line):
            lines.append(line)
    return tuple(found)[:MOST_ERRORS]
