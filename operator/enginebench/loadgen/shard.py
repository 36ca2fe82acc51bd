"""Which part of a load point is one process's: users, requests and their numbers, dealt out like cards."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`-th of `count` shares. Of anything numbered it has number, number + count, number + 2 count, …"""

    number: int = 0
    count: int = 1

    @property
    def whole(self) -> bool:
        """There is no other: the process carries the whole point."""
        return self.count == 1

    def of(self, total: int) -> int:
        """How many of `total` are in the share: as even as can be."""
        return len(range(self.number, total, self.count))

    def nth(self, own: int) -> int:
        """The number among all of the share's own `own`-th."""
        return self.number + self.count * own


WHOLE = Shard()
