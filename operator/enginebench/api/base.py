"""Base classes of everything in the contract: how names are written, and how strictly documents are read."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, PlainSerializer, model_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

from enginebench.api.rules import VALIDATIONS, Rule, refuse_broken

_SPELLED = {"pod_uid": "podUID", "image_id": "imageID", "extra_body_json": "extraBodyJSON"}


def camel(name: str) -> str:
    """The document's name of an attribute: camelCase, acronyms as Kubernetes spells them."""
    return _SPELLED.get(name) or to_camel(name)


class Object(BaseModel):
    """Anything in the document; attributes are snake_case, names in the document camelCase."""

    def document(self, *, without: set[str] | None = None) -> dict[str, Any]:
        """The object as plain JSON data, absent fields left out, and those of some names."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=without)


class SpecObject(Object):
    """A part of `spec`: immutable, types taken at their word, unknown fields refused, rules checked."""

    model_config = ConfigDict(
        alias_generator=camel,
        populate_by_name=True,
        extra="forbid",
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        if self.rules:
            refuse_broken(self.rules, self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        document = handler.resolve_ref_schema(handler(schema))
        if cls.rules:
            document[VALIDATIONS] = [rule.as_schema() for rule in cls.rules]
        return document


class StatusObject(Object):
    """A part of `status`: a plain document. What only a newer operator knows is ignored."""

    model_config = ConfigDict(
        alias_generator=camel, populate_by_name=True, extra="ignore", use_attribute_docstrings=True
    )


@lru_cache(maxsize=4096)
def _seconds(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"


def keyed_by(name: str) -> FieldInfo:
    """Metadata of a list whose entries are told apart by this property."""
    field: FieldInfo = Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [name]})
    return field


Time = Annotated[datetime, PlainSerializer(_seconds, return_type=str, when_used="json-unless-none")]
"""A moment, written as Kubernetes does: UTC, whole seconds, `2026-11-23T12:00:00Z`."""
