"""Writes the table of fields in docs/benchmarkrun.md from the CRD: `python scripts/make_reference.py [--check]`."""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CRD = ROOT / "crds/enginebench.dev_benchmarkruns.yaml"
PAGE = ROOT / "docs/benchmarkrun.md"
BEGIN = "<!-- Fields: made by scripts/make_reference.py from the CRD, do not edit. -->\n"
END = "<!-- End of the fields. -->\n"

AS_IN_A_POD = frozenset({"affinity", "tolerations"})
"""Not unfolded: they are Kubernetes' own."""
THE_SAME_AS = {"spec.targets[].pod": "spec.engineDefaults"}
"""Type that stands in two places → where it is described."""

Schema = dict[str, Any]


def fields(crd: Schema) -> str:
    """Markdown: a heading and a table for `spec`, `status` and every object in them."""
    root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return "".join(text for part in ("spec", "status") for text in _section(part, root[part]))


def _section(path: str, schema: Schema) -> Iterator[str]:
    yield f"\n### `{path}`\n\n{_words(schema)}\n\n| Field | Type | Default | |\n|---|---|---|---|\n"
    required = schema.get("required", [])
    properties: dict[str, Schema] = schema["properties"]
    for name, field in properties.items():
        default = "required" if name in required else _default(field)
        note = f" See `{THE_SAME_AS[f'{path}.{name}']}`." if f"{path}.{name}" in THE_SAME_AS else ""
        yield f"| `{name}` | {_type(field)} | {default} | {_words(field)}{note} |\n"
    for name, field in properties.items():
        inner, suffix = (field["items"], "[]") if field.get("type") == "array" else (field, "")
        if inner.get("properties") and name not in AS_IN_A_POD and f"{path}.{name}" not in THE_SAME_AS:
            yield from _section(f"{path}.{name}{suffix}", inner)


def _words(schema: Schema) -> str:
    description = " ".join(schema.get("description", "").split()).replace("|", "\\|")
    return re.sub(r" Default: [^ ]+\.$", "", description)  # it has a column of its own


def _default(field: Schema) -> str:
    value = field.get("default")
    if value is None or isinstance(value, dict):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value or '0'}`"


def _type(field: Schema) -> str:
    kind = str(field.get("type", "any"))
    if kind == "array":
        return f"list of {_type(field['items'])}"
    if kind == "object" and "additionalProperties" in field:
        return "map"
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    low, high = field.get("minimum"), field.get("maximum")
    return f"{kind}, {low} to {high}" if low is not None and high is not None else kind


def page(text: str, crd: Schema) -> str:
    """The page with its generated part made anew."""
    head, _, rest = text.partition(BEGIN)
    return head + BEGIN + fields(crd) + "\n" + END + rest.partition(END)[2]


def main() -> int:
    """Write the page, or with --check say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if the page is out of date")
    check = parser.parse_args().check
    old = PAGE.read_text("utf-8")
    new = page(old, yaml.safe_load(CRD.read_text("utf-8")))
    if check and new != old:
        print(f"{PAGE.relative_to(ROOT)} is out of date: run python scripts/make_reference.py", file=sys.stderr)
        return 1
    if not check:
        PAGE.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
