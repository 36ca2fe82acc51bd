"""The seam to the API server: the few calls that the operator makes, and their errors.

`cluster.client` makes them over HTTPS; the virtual cluster of `tests/simulation` answers them in memory.
Objects are plain JSON dictionaries as the API server sends them.
"""

from typing import Any, Literal, Protocol

Obj = dict[str, Any]
Kind = Literal[
    "BenchmarkRun",
    "Pod",
    "Job",
    "Service",
    "ConfigMap",
    "Event",
    "Node",
    "EndpointSlice",
    "InferenceService",
    "Workload",
]


class ApiError(Exception):
    """The API server refused: `status` is the HTTP code, the text its own message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        """The Status object's reason: NotFound, AlreadyExists, Conflict, Forbidden, Invalid, …"""


class Unavailable(Exception):  # noqa: N818  # a state of the server, not a mistake
    """No answer, or a 5xx or 429: the same call may go through later. Whether it was carried out is unknown."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP code of the answer; None where there was none."""


class KubeApi(Protocol):
    """Each call is one request. Raises ApiError or Unavailable."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        """The object, or None where there is none."""

    async def list(self, kind: Kind, namespace: str, *, labels: str = "", fields: str = "") -> list[Obj]:
        """Objects by label and field selector, unpaged."""

    async def create(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        """POST; ApiError 409 AlreadyExists where the name is taken."""

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        """DELETE with a UID precondition and propagationPolicy Background; already gone is success."""

    async def replace_status(self, run: Obj) -> Obj:
        """PUT of the status subresource with the object's resourceVersion; ApiError 409 Conflict if it is stale."""

    async def serves(self, group: str) -> bool:
        """Whether the API server knows an API group."""

    async def pod_log(self, namespace: str, pod: str, *, limit_bytes: int) -> str:
        """The first `limit_bytes` of the log of a pod's only container."""
