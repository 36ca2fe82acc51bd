"""The Kubernetes API over HTTPS: `KubeApi` for real, and the following of logs.

Objects stay the JSON that the server sent: the generated model classes would cost ten times the time and drop
what they do not know. Of ConfigMaps and Services a list has only the metadata (the data of measured points
may be megabytes, and what a child is stands in its labels).
"""

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Self

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import (
    ConfigException,
    list_kube_config_contexts,
    load_incluster_config,
    load_kube_config,
)

from enginebench.api.v1alpha1 import GROUP, PLURAL, VERSION
from enginebench.cluster.api import ApiError, Kind, Obj, Unavailable
from enginebench.engines.base import ENGINE_CONTAINER

TIMEOUT = aiohttp.ClientTimeout(total=40, sock_connect=10)
"""A webhook may take 30 s: it is the server that is to say so."""
FOLLOW_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=300)
"""A load pod speaks at least every few seconds; a connection that is silent for so long is dead."""
LONGEST_LINE = 64 * 1024
JSON = "application/json"
METADATA_LIST = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{JSON}"
UNAUTHORIZED, NOT_FOUND, CONFLICT = 401, 404, 409
PASSING = frozenset({UNAUTHORIZED, 408, 429})
"""Codes below 500 that say nothing about the call itself (401: the token is just being rotated)."""
FIRST_ERROR, FIRST_SERVER_ERROR = 400, 500


@dataclass(frozen=True, slots=True)
class _Resource:
    prefix: str
    plural: str
    namespaced: bool = True
    metadata_only: bool = False
    older: str = ""
    """The prefix of another version, which older servers have; what is read of both is the same."""


_RESOURCES: dict[Kind, _Resource] = {
    "BenchmarkRun": _Resource(f"/apis/{GROUP}/{VERSION}", PLURAL),
    "Pod": _Resource("/api/v1", "pods"),
    "Job": _Resource("/apis/batch/v1", "jobs"),
    "Service": _Resource("/api/v1", "services", metadata_only=True),
    "ConfigMap": _Resource("/api/v1", "configmaps", metadata_only=True),
    "Event": _Resource("/api/v1", "events"),
    "Node": _Resource("/api/v1", "nodes", namespaced=False),
    "EndpointSlice": _Resource("/apis/discovery.k8s.io/v1", "endpointslices"),
    "InferenceService": _Resource("/apis/serving.kserve.io/v1beta1", "inferenceservices"),
    "Workload": _Resource("/apis/kueue.x-k8s.io/v1beta2", "workloads", older="/apis/kueue.x-k8s.io/v1beta1"),
}


async def configuration() -> Configuration:
    """How to reach the API server: the pod's service account, else KUBECONFIG or ~/.kube/config.

    Raises ConfigException where there is neither."""
    config = Configuration()
    config.connection_pool_maxsize = 0  # unlimited: each followed log holds a connection
    try:
        load_incluster_config(client_configuration=config)  # type: ignore[no-untyped-call]  # untyped library
    except ConfigException:
        await load_kube_config(  # type: ignore[no-untyped-call]  # untyped library
            client_configuration=config, persist_config=False
        )
    return config


def current_namespace() -> str:
    """The namespace of the kubeconfig's context; `default` where it names none. ConfigException without a kubeconfig."""
    _, context = list_kube_config_contexts()  # type: ignore[no-untyped-call]  # untyped library
    return str(context["context"].get("namespace") or "default")


class Client:
    """`KubeApi` over one pool of connections. Close it after use."""

    def __init__(self, config: Configuration) -> None:
        self._client = ApiClient(config)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]  # untyped library

    async def get(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        """The object, or None where there is none."""
        try:
            return await self._json("GET", _path(kind, namespace, name))
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def list(self, kind: Kind, namespace: str, *, labels: str = "", fields: str = "") -> list[Obj]:
        """Objects by selector, of all namespaces where `namespace` is empty."""
        query = [(key, text) for key, text in (("labelSelector", labels), ("fieldSelector", fields)) if text]
        resource = _RESOURCES[kind]
        accept = METADATA_LIST if resource.metadata_only else JSON
        path = _path(kind, namespace)
        try:
            answer = await self._json("GET", path, query=query, accept=accept)
        except ApiError as error:
            if error.status != NOT_FOUND or not resource.older:
                raise
            path = path.replace(resource.prefix, resource.older, 1)
            answer = await self._json("GET", path, query=query, accept=accept)
        return list(answer.get("items") or ())

    async def create(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        """POST."""
        return await self._json("POST", _path(kind, namespace), body=body)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        """DELETE that exact object in the background. A 409 is the UID's: another one bears the name, ours is gone."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        try:
            await self._json("DELETE", _path(kind, namespace, name), body=options)
        except ApiError as error:
            if error.status not in (NOT_FOUND, CONFLICT):
                raise

    async def replace_status(self, run: Obj) -> Obj:
        """PUT of the status subresource."""
        metadata = run["metadata"]
        path = _path("BenchmarkRun", metadata["namespace"], metadata["name"]) + "/status"
        return await self._json("PUT", path, body=run)

    async def pod_log(self, namespace: str, pod: str, *, limit_bytes: int) -> str:
        """The beginning of the log of an engine's container."""
        query = [("container", ENGINE_CONTAINER), ("limitBytes", str(limit_bytes))]
        text = await self._bytes("GET", _path("Pod", namespace, pod) + "/log", query=query)
        return text.decode(errors="replace")

    async def log_lines(self, namespace: str, pod: str, container: str, *, follow: bool) -> AsyncGenerator[bytes, None]:
        """The container's log from its beginning, line by line; with `follow` until the container ends.

        Ends without an error only where the server ended the stream; raises ApiError or Unavailable."""
        query = [("container", container), ("follow", str(follow).lower())]
        path = _path("Pod", namespace, pod) + "/log"
        response = await self._send("GET", path, query=query, timeout=FOLLOW_TIMEOUT)
        rest = b""
        try:
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line
                if len(rest) > LONGEST_LINE:
                    yield rest
                    rest = b""
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"log of {namespace}/{pod}: {error or type(error).__name__}") from error
        finally:
            response.close()
        if rest:
            yield rest

    async def serves(self, group: str) -> bool:
        """Whether the API server knows an API group (its discovery is open to every service account)."""
        try:
            await self._json("GET", f"/apis/{group}")
        except ApiError as error:
            if error.status == NOT_FOUND:
                return False
            raise
        return True

    async def _json(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Obj | None = None,
        accept: str = JSON,
    ) -> Obj:
        answer: Obj = json.loads(await self._bytes(method, path, query=query, body=body, accept=accept))
        return answer

    async def _bytes(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Obj | None = None,
        accept: str = JSON,
    ) -> bytes:
        response = await self._send(method, path, query=query, body=body, accept=accept, timeout=TIMEOUT)
        try:
            return await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"{method} {path}: {error or type(error).__name__}") from error

    async def _send(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # the client's own, it covers reading the answer too
        query: Sequence[tuple[str, str]] = (),
        body: Obj | None = None,
        accept: str = JSON,
    ) -> aiohttp.ClientResponse:
        try:
            verb, url, headers, content, _ = await self._client.param_serialize(
                method,
                path,
                query_params=list(query),
                header_params={"Accept": accept},
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = await self._client.call_api(verb, url, headers, content, _request_timeout=timeout)
            response: aiohttp.ClientResponse = answer.response
            if response.status < FIRST_ERROR:
                return response
            text = await response.read()
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise Unavailable(f"{method} {path}: {error or type(error).__name__}") from error
        raise _refusal(f"{method} {path}", response.status, text)


def _path(kind: Kind, namespace: str, name: str = "") -> str:
    resource = _RESOURCES[kind]
    scope = f"/namespaces/{namespace}" if resource.namespaced and namespace else ""
    return f"{resource.prefix}{scope}/{resource.plural}" + (f"/{name}" if name else "")


def _refusal(call: str, status: int, text: bytes) -> ApiError | Unavailable:
    try:
        told = json.loads(text)
        reason, message = str(told.get("reason") or ""), str(told.get("message") or "")
    except (ValueError, AttributeError):
        reason, message = "", text.decode(errors="replace")[:1000]
    if status in PASSING or status >= FIRST_SERVER_ERROR:
        return Unavailable(f"{call}: {status} {message}", status)
    return ApiError(status, reason, message or f"{call}: {status}")
