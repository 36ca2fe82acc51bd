"""The status against the CRD as it is generated, compiled once: what the API server would refuse or silently drop."""

from functools import lru_cache
from typing import Any

import jsonschema_rs

from enginebench.api import crd

Obj = dict[str, Any]


def problems(status: Obj) -> list[str]:
    """What is wrong with it."""
    validator = _validator()
    if validator.is_valid(status):
        return []
    return [f"{'.'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(status)]


@lru_cache(maxsize=1)
def _validator() -> jsonschema_rs.Draft7Validator:
    return jsonschema_rs.Draft7Validator(_closed(crd.schema()["properties"]["status"]))


def _closed(schema: Obj) -> Obj:
    """As JSON schema, where a field that the CRD does not have is an error: the API server would drop it."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return {"type": ["number", "string", "boolean", "object"]}
    closed = {k: v for k, v in schema.items() if not k.startswith("x-") and k not in ("description", "default")}
    if schema.get("x-kubernetes-int-or-string"):
        closed = {"type": ["integer", "string"]}
    if "properties" in schema:
        closed["properties"] = {name: _closed(child) for name, child in schema["properties"].items()}
        closed["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        closed["additionalProperties"] = _closed(schema["additionalProperties"])
    if "items" in schema:
        closed["items"] = _closed(schema["items"])
    return closed
