"""Label and field selectors, as far as an API server understands them."""

from collections.abc import Callable
from functools import lru_cache, partial

from tests.simulation.store import Item

Predicate = Callable[[Item], bool]

FIELDS = {
    "BenchmarkRun": {"metadata.name", "metadata.namespace"},
    "Pod": {
        "metadata.name", "metadata.namespace", "spec.nodeName", "spec.restartPolicy", "spec.schedulerName",
        "spec.serviceAccountName", "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName",
    },
    "Job": {"metadata.name", "metadata.namespace", "status.successful"},
    "Service": {"metadata.name", "metadata.namespace", "spec.clusterIP", "spec.type"},
    "ConfigMap": {"metadata.name", "metadata.namespace"},
    "Node": {"metadata.name", "metadata.namespace", "spec.unschedulable"},
    "Event": {
        "metadata.name", "metadata.namespace", "involvedObject.kind", "involvedObject.namespace",
        "involvedObject.name", "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion",
        "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type",
    },
}  # fmt: skip
"""What a list may be narrowed by; the API server refuses any other field (`pkg/apis/*/v1/conversion.go`)."""


@lru_cache(maxsize=4096)
def by_labels(selector: str) -> Predicate:
    """`a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a` and `!a`, joined by commas; ValueError if it is none of these."""
    tests = [_label_test(part.strip()) for part in _split(selector)]
    if len(tests) == 1:
        only = tests[0]
        return lambda item: only(item.labels)
    return lambda item: all(test(item.labels) for test in tests)


def _split(selector: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(selector):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(selector[start:at])
            start = at + 1
    parts.append(selector[start:])
    return [part for part in parts if part.strip()]


def _label_test(part: str) -> Callable[[dict[str, str]], bool]:
    words = part.replace("(", " ( ", 1).split()
    if len(words) > 1 and words[1] in ("in", "notin"):
        key, wanted = words[0], {value.strip() for value in part[part.index("(") + 1 : part.rindex(")")].split(",")}
        return (
            (lambda labels: labels.get(key) in wanted)
            if words[1] == "in"
            else (lambda labels: labels.get(key) not in wanted)
        )
    for sign in ("!=", "==", "="):
        key, found, value = (text.strip() for text in part.partition(sign))
        if found:
            return partial(_is, key, value, sign != "!=")
    if " " in part:
        raise ValueError(f"unable to parse requirement: {part}")
    return (lambda labels: part[1:] not in labels) if part.startswith("!") else (lambda labels: part in labels)


def _is(key: str, value: str, equal: bool, labels: dict[str, str]) -> bool:
    return (labels.get(key) == value) is equal


@lru_cache(maxsize=4096)
def by_fields(kind: str, selector: str) -> Predicate:
    """`path=value` or `path!=value`, joined by commas; ValueError for a field that this kind has no index for."""
    tests = []
    for part in selector.split(","):
        path, sign, value = part.partition("!=") if "!=" in part else part.partition("=")
        if not sign or path not in FIELDS[kind]:
            raise ValueError(f"field label not supported: {path}")
        tests.append((tuple(path.split(".")), value.removeprefix("="), sign == "="))
    return lambda item: all((_at(item, path) == value) is equal for path, value, equal in tests)


def _at(item: Item, path: tuple[str, ...]) -> str:
    found: object = item.obj
    for name in path:
        found = found.get(name, "") if isinstance(found, dict) else ""
    return str(found)
