"""From pydantic's JSON Schema to the structural schema of a CRD. What it does not know, it refuses."""

import json
from typing import Any

from enginebench.api.rules import VALIDATIONS

Schema = dict[str, Any]

FREE = "x-kubernetes-preserve-unknown-fields"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"

_KEPT = {
    "string": {"minLength", "maxLength", "enum", "format"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "boolean": set[str](),
    "array": {"minItems", "maxItems", LIST_TYPE, LIST_KEYS},
    "object": {"maxProperties", FREE},
}
_EVERYWHERE = {"type", "description", VALIDATIONS}
_DROPPED = {"title", "default", "properties", "required", "additionalProperties", "items", "const"}
"""Handled apart, or of no use to the API server."""


class NotStructuralError(Exception):
    """The models hold something that the CRD cannot say, or must not."""


class Converter:
    """One walk over the models' schema. `strict` (the spec) asks for bounds and carries defaults."""

    def __init__(self, definitions: dict[str, Schema], *, strict: bool) -> None:
        self._definitions = definitions
        self._strict = strict

    def convert(self, node: Schema, path: str, *, below_list: bool = False) -> Schema:
        """The structural schema of `node`; `NotStructuralError` names the place of what it cannot be."""
        node = self._plain(node, path)
        kind = node.get("type")
        if kind is None and node.get(FREE) is True and not self._strict:
            return {key: node[key] for key in ("description", FREE) if key in node}
        if not isinstance(kind, str) or kind not in _KEPT:
            raise NotStructuralError(f"{path}: a schema without a type that is known: {node}")
        unknown = node.keys() - _KEPT[kind] - _EVERYWHERE - _DROPPED
        if unknown or (self._strict and FREE in node):
            raise NotStructuralError(f"{path}: {', '.join(sorted(unknown or {FREE}))} is not structural")
        kept = {key: node[key] for key in node if key in _EVERYWHERE | _KEPT[kind]}
        if "description" in kept:
            kept["description"] = " ".join(kept["description"].split())
        if VALIDATIONS in kept:
            # Last in the document, and without rules that the API server has of its own.
            kept[VALIDATIONS] = [rule for rule in kept.pop(VALIDATIONS) if rule["rule"]]
            if not kept[VALIDATIONS]:
                del kept[VALIDATIONS]
        self._default(node, kept, path, below_list=below_list)
        self._bounded(kept, path)
        rules = kept.pop(VALIDATIONS, None)
        if kind == "array":
            kept.setdefault(LIST_TYPE, "atomic")
            kept["items"] = self.convert(node["items"], f"{path}[]", below_list=True)
        elif kind == "object":
            self._object(node, kept, path, below_list=below_list)
        return kept | {VALIDATIONS: rules} if rules else kept

    def _plain(self, node: Schema, path: str) -> Schema:
        """Without references and without null: absent is absent."""
        while "$ref" in node or "anyOf" in node:
            beside = dict(node)
            if "$ref" in node:
                inner = self._definitions[beside.pop("$ref").removeprefix("#/$defs/")]
            else:
                members = [m for m in beside.pop("anyOf") if m != {"type": "null"}]
                if len(members) != 1:
                    raise NotStructuralError(f"{path}: a union of {len(members)}: use an object with one member set")
                inner = members[0]
            node = {**inner, **beside}
        if "const" in node:
            node = {**node, "enum": [node["const"]]}
        return node

    def _default(self, node: Schema, kept: Schema, path: str, *, below_list: bool) -> None:
        if node.get("default") is None or not self._strict:
            return
        if below_list:
            raise NotStructuralError(f"{path}: a default at or below a list shows as drift for ever")
        kept["default"] = node["default"]
        # kubectl explain shows the description alone.
        said = json.dumps(node["default"])
        kept["description"] = f"{kept.get('description', '')} Default: {said}.".strip()

    def _bounded(self, kept: Schema, path: str) -> None:
        bound = {"string": "maxLength", "array": "maxItems"}.get(kept["type"])
        if self._strict and bound and bound not in kept and "enum" not in kept:
            raise NotStructuralError(f"{path}: has no {bound}: the CEL budget needs a bound")
        if self._strict and "description" not in kept and not path.endswith(("[]", "{}")):
            raise NotStructuralError(f"{path}: has no description for kubectl explain")

    def _object(self, node: Schema, kept: Schema, path: str, *, below_list: bool) -> None:
        properties, values = node.get("properties"), node.get("additionalProperties")
        if properties is not None:
            kept["properties"] = {
                name: self.convert(child, f"{path}.{name}", below_list=below_list) for name, child in properties.items()
            }
            if node.get("required"):
                kept["required"] = node["required"]
        elif isinstance(values, dict):
            if self._strict and "maxProperties" not in kept:
                raise NotStructuralError(f"{path}: has no maxProperties: the CEL budget needs a bound")
            # The values of a map are as many as the entries of a list.
            kept["additionalProperties"] = self.convert(values, f"{path}{{}}", below_list=True)
        elif values is not False and FREE not in kept:
            raise NotStructuralError(f"{path}: an object that may hold anything")
