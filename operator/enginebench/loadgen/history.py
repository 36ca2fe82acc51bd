"""Which prompts an engine has been sent as they stand, by whichever process: a prefix cache knows all of them.

A prompt goes by the number of its row in the data set; rows with the same prompt have the same number.
"""

from collections.abc import Sequence

import msgspec


class Asked(msgspec.Struct):
    """What one process has sent of one point."""

    requests: int = 0
    """Of the window."""
    before: set[int] = msgspec.field(default_factory=set)
    """Prompts of the ramp and the warm-up."""
    within: set[int] = msgspec.field(default_factory=set)
    """Prompts of the window."""
    after: set[int] = msgspec.field(default_factory=set)
    """Prompts of the drain."""

    def note(self, phase: str, prompt: int) -> None:
        """A request is being sent."""
        if phase == "window":
            self.requests += 1
            self.within.add(prompt)
        elif phase == "drain":
            self.after.add(prompt)
        else:
            self.before.add(prompt)


class History:
    """What was sent in all points so far."""

    def __init__(self) -> None:
        self._sent: set[int] = set()

    def repeated(self, point: Sequence[Asked]) -> float:
        """Share of the window's requests whose prompt had been sent before, by the parts that all processes have sent
        of the point; it then counts as sent itself. In the window a prompt is new once, whoever was the first."""
        self._sent.update(*(part.before for part in point))
        within = set[int]().union(*(part.within for part in point))
        requests, new = sum(part.requests for part in point), len(within - self._sent)
        self._sent.update(within, *(part.after for part in point))
        return (requests - new) / requests if requests else 0.0
