"""Where an endpoint by reference answers, and whether it is ready: read from the object that it refers to.

Objects of the run's own namespace alone. The operator can read more than most who create runs: a run must not show
them, nor reach for them, what they could not.
"""

import re
from collections.abc import Iterable

from enginebench.api.access import URL
from enginebench.api.endpoint import Endpoint
from enginebench.api.refs import ServiceRef
from enginebench.cluster.api import ApiError, KubeApi, Obj
from enginebench.workflow.observed import Reference, ReferenceState

FORBIDDEN = 403
KSERVE = "serving.kserve.io"
OF_SERVICE = "kubernetes.io/service-name"
READY = "Ready"


async def reference(api: KubeApi, namespace: str, endpoint: Endpoint) -> Reference:
    """What the object says now. Raises ApiError and Unavailable as every call does."""
    try:
        if endpoint.service_ref is not None:
            return await _service(api, namespace, endpoint, endpoint.service_ref)
        return await _inference_service(api, namespace, endpoint)
    except ApiError as error:
        if error.status != FORBIDDEN:
            raise
        said = f"The operator may not read it: {error}. Give it the right (manifests/), or name endpoint.url."
        return Reference(ReferenceState.FORBIDDEN, words=said)


async def _service(api: KubeApi, namespace: str, endpoint: Endpoint, ref: ServiceRef) -> Reference:
    service = await api.get("Service", namespace, ref.name)
    if service is None:
        said = (
            f"endpoint.serviceRef: there is no Service {ref.name} in namespace {namespace}. Create it, and run again."
        )
        return Reference(ReferenceState.NOT_FOUND, words=said)
    spec = service.get("spec") or {}
    ports = [port for port in spec.get("ports") or () if port.get("protocol", "TCP") == "TCP"]
    chosen = [port for port in ports if ref.port in (None, port["port"])]
    if len(chosen) != 1:
        has = ", ".join(_port(port) for port in ports) or "none"
        said = f"endpoint.serviceRef: Service {ref.name} has the TCP ports {has}: say in port which one is meant."
        return Reference(ReferenceState.UNUSABLE, words=said)
    if spec.get("selector") and (words := await _no_address(api, namespace, ref.name)):
        return Reference(ReferenceState.NOT_READY, words=words)
    number, behind = chosen[0]["port"], chosen[0].get("targetPort")
    if spec.get("clusterIP") == "None" and isinstance(behind, int):
        number = behind  # a headless Service's name leads to the pods themselves
    scheme = "https" if endpoint.tls is not None else "http"
    return Reference(ReferenceState.READY, f"{scheme}://{ref.name}.{namespace}.svc:{number}{endpoint.path or ''}")


def _port(port: Obj) -> str:
    return f"{port['port']} ({port['name']})" if port.get("name") else str(port["port"])


async def _no_address(api: KubeApi, namespace: str, service: str) -> str:
    """Why nobody would answer yet; empty where somebody would, or where that may not be read."""
    try:
        slices = await api.list("EndpointSlice", namespace, labels=f"{OF_SERVICE}={service}")
    except ApiError as error:
        if error.status != FORBIDDEN:
            raise
        return ""
    ready = [(one.get("conditions") or {}).get("ready") for cut in slices for one in cut.get("endpoints") or ()]
    if any(is_ready is not False for is_ready in ready):  # absent: it is taken to be
        return ""
    behind = f"of its {len(ready)} pods none is ready" if ready else "its selector finds no pod that runs"
    return f"Service {service} has no ready address: {behind}."


async def _inference_service(api: KubeApi, namespace: str, endpoint: Endpoint) -> Reference:
    assert endpoint.inference_service_ref is not None  # exactly one is set
    name = endpoint.inference_service_ref.name
    found = await api.get("InferenceService", namespace, name)
    if found is None:
        said = f"endpoint.inferenceServiceRef: there is no InferenceService {name} in namespace {namespace}. "
        if not await api.serves(KSERVE):
            said = (
                f"endpoint.inferenceServiceRef: the cluster knows no InferenceService: KServe ({KSERVE}) is not there. "
            )
        return Reference(ReferenceState.NOT_FOUND, words=said + "Create it, or name endpoint.url, and run again.")
    if words := _not_ready(found):
        return Reference(ReferenceState.NOT_READY, words=f"InferenceService {name} is not ready: {words}.")
    status = found["status"]
    # The first leads to it within the cluster, the other one through whatever lets requests in from outside.
    url = str((status.get("address") or {}).get("url") or status.get("url") or "").rstrip("/") + (endpoint.path or "")
    if wrong := _wrong(url, endpoint):
        return Reference(ReferenceState.UNUSABLE, words=f"InferenceService {name} answers at {url!r}. {wrong}")
    return Reference(ReferenceState.READY, url)


def _not_ready(service: Obj) -> str:
    """In the words of its conditions; empty where it is ready."""
    status = service.get("status") or {}
    if status.get("observedGeneration", service["metadata"].get("generation")) != service["metadata"].get("generation"):
        return "its status is of an earlier generation"
    conditions = status.get("conditions") or ()
    ready = next((c for c in conditions if c.get("type") == READY), None)
    if ready is None:
        return "it has no Ready condition yet"
    if ready.get("status") == "True":
        return ""
    others = (c for c in conditions if c.get("status") == "False" and c is not ready)
    return "; ".join(_told((ready, *others)))


def _told(conditions: Iterable[Obj]) -> Iterable[str]:
    for one in conditions:
        reason, message = one.get("reason") or "", one.get("message") or ""
        why = ": ".join(part for part in (reason, message) if part)
        yield f"{one['type']} is {one.get('status')}" + (f" ({why})" if why else "")


def _wrong(url: str, endpoint: Endpoint) -> str:
    """What hinders its use; empty: nothing."""
    if not re.fullmatch(URL, url):
        return "That is no base URL of HTTP: name endpoint.url."
    if endpoint.tls is not None and not url.startswith("https://"):
        return "endpoint.tls is for https://: remove it."
    if not endpoint.token_is_safe(url):
        return (
            "endpoint.tokenSecretRef: a token is sent only over https:// without insecureSkipVerify, or to a name that "
            "ends in .svc or .svc.cluster.local. Have it answer there, or name endpoint.url."
        )
    return ""
