"""What of a run may change after it was created: little, said once for the API server and the model.

The rules are generated, property by property, and sit on BenchmarkRun itself, so that another resource can embed
the spec and have rules of its own. A rule on an optional property would let it be added later.
"""

from collections.abc import Callable
from dataclasses import dataclass

from enginebench.api.spec import BenchmarkRunSpec

MUTABLE = frozenset({"suspend", "cancel", "ttlSecondsAfterFinished"})
KEYED_LISTS = {"targets": "name"}
"""Lists that CEL compares without regard to order, with their key."""


@dataclass(frozen=True, slots=True)
class ChangeRule:
    """What must hold between an object and its next version."""

    field: str
    sentence: str
    cel: str
    holds: Callable[[BenchmarkRunSpec, BenchmarkRunSpec], bool]
    """(old, new) → whether the change is allowed."""

    def as_schema(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations` on the root."""
        return {"rule": self.cel, "message": self.sentence, "fieldPath": self.field}


def _unchanged(attribute: str, name: str) -> ChangeRule:
    new, old = f"self.spec.{name}", f"oldSelf.spec.{name}"
    same = f"{new} == {old}"
    if name in KEYED_LISTS:
        names = f"map(x, x.{KEYED_LISTS[name]})"
        same = f"({same} && {new}.{names} == {old}.{names})"
    return ChangeRule(
        field=f".spec.{name}",
        sentence="cannot be changed: delete the run and create it anew, or create another",
        cel=f"has({new}) == has({old}) && (!has({new}) || {same})",
        holds=lambda before, after: bool(getattr(before, attribute) == getattr(after, attribute)),
    )


CANCEL_ONE_WAY = ChangeRule(
    field=".spec.cancel",
    sentence="cannot be taken back: a cancelled run is over, create another",
    cel="!has(oldSelf.spec.cancel) || !oldSelf.spec.cancel || (has(self.spec.cancel) && self.spec.cancel)",
    holds=lambda before, after: after.cancel or not before.cancel,
)


def change_rules() -> list[ChangeRule]:
    """One for each property of the spec that is not mutable, and those for the ones that are."""
    named = {info.alias or name: name for name, info in BenchmarkRunSpec.model_fields.items()}
    fixed = [_unchanged(attribute, name) for name, attribute in named.items() if name not in MUTABLE]
    return [*fixed, CANCEL_ONE_WAY]


def refused_changes(before: BenchmarkRunSpec, after: BenchmarkRunSpec) -> list[str]:
    """What the API server would say to this edit, with the field; empty: it is allowed."""
    return [
        f"{rule.field.removeprefix('.')}: {rule.sentence}" for rule in change_rules() if not rule.holds(before, after)
    ]
