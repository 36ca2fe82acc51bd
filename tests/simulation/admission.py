"""What a real API server refuses to store: the checks that a wrong child of a run would meet."""

import re
from typing import Any

from enginebench.cluster.api import ApiError

Obj = dict[str, Any]

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
LABEL_KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
CONFIG_MAP_BYTES = 1024 * 1024
NAME_CHARACTERS = 63


def admit(kind: str, namespace: str, obj: Obj) -> None:
    """Raise ApiError 422 (or 400) with the server's kind of sentence if the object is not fit to be stored."""
    meta = obj.get("metadata", {})
    if meta.get("namespace", namespace) != namespace:
        raise ApiError(400, "BadRequest", "the namespace of the object does not match the namespace of the request")
    if "resourceVersion" in meta:
        raise ApiError(400, "BadRequest", "resourceVersion should not be set on objects to be created")
    problems = list(_metadata(kind, meta))
    check = {"Pod": _pod, "Job": _job, "Service": _service, "ConfigMap": _config_map, "Event": _event}.get(kind)
    if check is not None and not problems:
        problems = check(obj)
    if problems:
        raise ApiError(422, "Invalid", f'{kind} "{meta.get("name")}" is invalid: {"; ".join(problems)}')


def _metadata(kind: str, meta: Obj) -> list[str]:
    name = meta.get("name", "")
    shape = SERVICE_NAME if kind == "Service" else SUBDOMAIN
    problems = []
    if not shape.fullmatch(name) or (kind in ("Service", "Job", "Pod") and len(name) > NAME_CHARACTERS):
        problems.append(f"metadata.name: Invalid value: {name!r}")
    for key, value in (meta.get("labels") or {}).items():
        if not LABEL_KEY.fullmatch(key):
            problems.append(f"metadata.labels: Invalid value: {key!r}")
        if not isinstance(value, str) or len(value) > NAME_CHARACTERS or not LABEL_VALUE.fullmatch(value):
            problems.append(f"metadata.labels[{key}]: Invalid value: {value!r}")
    problems += [
        f"metadata.ownerReferences: {field} must not be empty"
        for owner in meta.get("ownerReferences") or ()
        for field in ("apiVersion", "kind", "name", "uid")
        if not owner.get(field)
    ]
    return problems


def _pod(obj: Obj) -> list[str]:
    return _pod_spec(obj.get("spec", {}), "spec")


def _pod_spec(spec: Obj, path: str) -> list[str]:
    problems = []
    volumes = [volume.get("name") for volume in spec.get("volumes") or ()]
    if len(volumes) != len(set(volumes)):
        problems.append(f"{path}.volumes: Duplicate value")
    if not spec.get("containers"):
        problems.append(f"{path}.containers: Required value")
    for container in spec.get("containers") or ():
        if not container.get("image") or not LABEL.fullmatch(container.get("name", "")):
            problems.append(f"{path}.containers: name and image: Required value")
        problems += [
            f"{path}.containers.volumeMounts: Not found: {mount.get('name')!r}"
            for mount in container.get("volumeMounts") or ()
            if mount.get("name") not in volumes
        ]
        problems += [
            f"{path}.containers.env[{entry.get('name')}]: Invalid value"
            for entry in container.get("env") or ()
            if not entry.get("name") or not isinstance(entry.get("value", ""), str)
        ]
        if not all(
            isinstance(word, str) for word in [*(container.get("command") or ()), *(container.get("args") or ())]
        ):
            problems.append(f"{path}.containers: args must be strings")
        problems += _resources(container.get("resources") or {}, path)
    return problems


def _resources(resources: Obj, path: str) -> list[str]:
    """Extended resources (GPUs) cannot be overcommitted: a limit is required and a request must equal it."""
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    return [
        f"{path}.containers.resources: Invalid value: {name} must be equal to its limit"
        for name in {*requests, *limits}
        if "/" in name and requests.get(name, limits.get(name)) != limits.get(name)
    ]


def _job(obj: Obj) -> list[str]:
    spec = obj.get("spec", {})
    template = spec.get("template", {})
    problems = _pod_spec(template.get("spec", {}), "spec.template.spec")
    problems += _metadata("Job", {"name": "template", "labels": template.get("metadata", {}).get("labels")})
    if template.get("spec", {}).get("restartPolicy") not in ("Never", "OnFailure"):
        problems.append("spec.template.spec.restartPolicy: Required value: valid values: OnFailure, Never")
    if spec.get("completionMode") == "Indexed" and not isinstance(spec.get("completions"), int):
        problems.append("spec.completions: Required value: when completion mode is Indexed")
    return problems


def _service(obj: Obj) -> list[str]:
    ports = obj.get("spec", {}).get("ports") or ()
    problems = [] if ports else ["spec.ports: Required value"]
    problems += [f"spec.ports: Invalid value: {p.get('port')}" for p in ports if not 0 < p.get("port", 0) < 65536]
    return problems


def _config_map(obj: Obj) -> list[str]:
    texts = [*(obj.get("data") or {}).values(), *(obj.get("binaryData") or {}).values()]
    if not all(isinstance(text, str) for text in texts):
        return ["data: Invalid value: must be strings"]
    if sum(map(len, texts)) > CONFIG_MAP_BYTES:
        return [f"[]: Too long: may not be more than {CONFIG_MAP_BYTES} bytes"]
    return []


def _event(obj: Obj) -> list[str]:
    involved = obj.get("involvedObject") or {}
    if involved.get("namespace") != obj["metadata"].get("namespace", involved.get("namespace")):
        return ["involvedObject.namespace: does not match event.namespace"]
    if obj.get("type") not in ("Normal", "Warning") or not obj.get("reason"):
        return ["type: must be Normal or Warning, with a reason"]
    return []
