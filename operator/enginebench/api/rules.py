"""Rules of the contract: the sentence a user reads, the CEL of the API server, and the check of the model.

The three stand side by side in one `Rule`, so that they cannot drift apart. A rule on a scalar or a list is
put into `Annotated[...]`; a rule on an object is listed in the class variable `rules` of its class.
CEL is held to the libraries of Kubernetes 1.30. `self` is the value; patterns are RE2 and Python at once.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_snake
from pydantic_core import PydanticCustomError, core_schema

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold. `field`: the property that the sentence is about, from the rule's place (`.model`)."""

    sentence: str
    cel: str
    holds: Callable[[Any], bool]
    field: str = ""

    def as_schema(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations`."""
        entry = {"rule": self.cel, "message": self.sentence}
        return entry | {"fieldPath": self.field} if self.field else entry

    def check(self, value: Any) -> Any:
        """The value itself; `PydanticCustomError` where the rule is broken."""
        refuse_broken((self,), value)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        document = handler(schema)
        document.setdefault(VALIDATIONS, []).append(self.as_schema())
        return document


def refuse_broken(rules: Iterable[Rule], value: Any) -> None:
    """Raise one error that names every broken rule; `errors.sentences` takes it apart again."""
    broken = [(rule.field, rule.sentence) for rule in rules if not rule.holds(value)]
    if broken:
        text = "; ".join(sentence for _, sentence in broken)
        raise PydanticCustomError("rule", "{text}", {"text": text, "broken": broken})


def text(value: str) -> str:
    """A CEL string literal."""
    return json.dumps(value)


def matches(pattern: str, sentence: str) -> Rule:
    """The whole string matches. `pattern` carries no anchors."""
    compiled = re.compile(pattern, re.ASCII)
    return Rule(
        sentence=sentence,
        cel=f"self.matches({text(f'^(?:{pattern})$')})",
        holds=lambda value: compiled.fullmatch(value) is not None,
    )


def exactly_one(*members: str) -> Rule:
    """Exactly one of the object's members is set. `members` are names in the document."""
    attributes = [to_snake(member) for member in members]
    listed = ", ".join(members)
    return Rule(
        sentence=f"exactly one of {listed} must be set: say which is meant, and remove the others"
        if len(members) > 1
        else f"{listed} must be set",
        cel=f"[{', '.join(f'has(self.{member})' for member in members)}].exists_one(x, x)",
        holds=lambda value: sum(getattr(value, attribute) is not None for attribute in attributes) == 1,
    )


def unique(sentence: str) -> Rule:
    """No value stands twice in a list of scalars."""
    return Rule(
        sentence=sentence,
        cel="self.all(x, self.exists_one(y, x == y))",
        holds=lambda values: len(set(values)) == len(values),
    )


def unique_decimals(sentence: str) -> Rule:
    """No number stands twice in a list of decimal strings, however it is written."""
    return Rule(
        sentence=sentence,
        # A text that is no decimal breaks another rule; an error of double() would hide its sentence.
        cel="!self.all(x, x.matches('^[0-9]+([.][0-9]+)?$')) || "
        "self.all(x, self.exists_one(y, double(x) == double(y)))",
        holds=lambda values: len({float(value) for value in values}) == len(values),
    )


def unique_by_name(sentence: str) -> Rule:
    """No two objects of a plain list have the same `name`."""
    return Rule(
        sentence=sentence,
        cel="self.all(x, self.exists_one(y, x.name == y.name))",
        holds=lambda values: len({value.name for value in values}) == len(values),
    )
