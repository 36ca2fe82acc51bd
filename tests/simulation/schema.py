"""The status against the CRD as it is generated, compiled once: what the API server would refuse or silently drop."""

from functools import lru_cache
from typing import Any

import fastjsonschema

from enginebench.api import crd

Obj = dict[str, Any]


def problems(status: Obj) -> list[str]:
    """What is wrong with it, at most one sentence."""
    try:
        _validator()(status)
    except fastjsonschema.JsonSchemaValueException as error:
        return [str(error)]
    return []


@lru_cache(maxsize=1)
def _validator() -> Any:
    return fastjsonschema.compile(_closed(crd.schema()["properties"]["status"]), use_default=False)


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
