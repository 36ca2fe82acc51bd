"""What happened in a run, line by line: kept as cheap tuples, put into words only for a run that is looked at."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.apiserver import Call

Obj = dict[str, Any]


class Transcript:
    """Lines of `seconds  kind  text` in the order in which things happened."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._lines: list[tuple[float, str, Any]] = []

    def note(self, kind: str, *text: object) -> None:
        """`kind`: cluster, fault, user, operator, log, judge."""
        self._lines.append((self._clock.now, kind, text))

    def call(self, call: "Call") -> None:
        self._lines.append((self._clock.now, "call", call))

    def answer(self, call: "Call", text: str) -> None:
        self._lines.append((self._clock.now, "answer", (f"{call.verb} {call.kind} {call.name}: {text}",)))

    def status(self, before: Obj | None, after: Obj) -> None:
        self._lines.append((self._clock.now, "status", (before, after)))

    @property
    def calls(self) -> "list[Call]":
        """All requests of the operator."""
        return [call for _, call in self.timed_calls]

    @property
    def timed_calls(self) -> "list[tuple[float, Call]]":
        """All requests of the operator, each with its time."""
        return [(at, what) for at, kind, what in self._lines if kind == "call"]

    def lines(self, *, reads: bool = True) -> list[str]:
        """In words; without `reads` only calls that change something."""
        return [
            f"{at:10.3f}  {kind:8}  {words}"
            for at, kind, what in self._lines
            if (words := _words(kind, what, reads=reads))
        ]


def _words(kind: str, what: Any, *, reads: bool) -> str:
    if kind == "status":
        return " ".join(_difference(*what))
    if kind != "call":
        return " ".join(map(str, what))
    if not reads and what.verb in ("get", "list", "pod_log"):
        return ""
    return f"#{what.number} {what.verb} {what.kind} {what.name}"


UNTOLD = frozenset({"lastTransitionTime", "observedGeneration", "message"})
"""Of conditions: the status and the target say it better."""


def _difference(before: Any, after: Any, path: str = "") -> tuple[str, ...]:
    """The leaves that differ, `path: old → new`; conditions and targets by their names."""
    before, after = _keyed(before), _keyed(after)
    if before == after:
        return ()
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in {**before, **after} if not (path.startswith(".conditions") and key in UNTOLD)]
        return tuple(line for key in keys for line in _difference(before.get(key), after.get(key), f"{path}.{key}"))
    return (f"{path[1:]}: {_short(before)} → {_short(after)};",)


def _keyed(value: Any) -> Any:
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return value
    return {str(item.get("type") or item.get("name") or place): item for place, item in enumerate(value)}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "…"
