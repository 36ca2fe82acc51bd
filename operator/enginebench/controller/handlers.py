"""kopf's part: it watches, and wakes. It writes nothing, so it needs no finalizer and no annotation.

No daemon, timer or create/update/delete handler: each of these puts a finalizer on the object, and an operator
that is uninstalled first would leave the namespace Terminating for ever.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import kopf

from enginebench.api.v1alpha1 import GROUP, PLURAL, VERSION
from enginebench.cluster.labels import RUN, RUN_UID
from enginebench.controller.operator import Operator


def registry(operator: Operator, login: Callable[[], Awaitable[kopf.ConnectionInfo]]) -> kopf.OperatorRegistry:
    """The handlers: events of runs and of their children wake the run. All runs are listed at the start.

    `login` is asked again whenever the API server refuses what it gave: a service account's token expires."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def _login(**_: Any) -> kopf.ConnectionInfo:
        return await login()

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers, id="run")
    async def _run(namespace: str | None, name: str | None, type: str | None, meta: kopf.Meta, **_: Any) -> None:  # noqa: A002 - kopf's name
        if type == "MODIFIED":
            operator.modified(namespace or "", name or "", uid=meta["uid"], generation=meta["generation"])
        else:
            operator.wake(namespace or "", name or "")

    @kopf.on.event("batch", "v1", "jobs", labels={RUN_UID: kopf.PRESENT}, registry=handlers, id="job")
    @kopf.on.event("", "v1", "pods", labels={RUN_UID: kopf.PRESENT}, registry=handlers, id="pod")
    @kopf.on.event("", "v1", "services", labels={RUN_UID: kopf.PRESENT}, registry=handlers, id="service")
    async def _child(namespace: str | None, labels: Mapping[str, str], **_: Any) -> None:
        operator.wake(namespace or "", labels.get(RUN, ""))

    @kopf.on.probe(registry=handlers, id="longestPassSeconds")
    async def _longest_pass(**_: Any) -> float:
        return round(operator.longest_pass(), 1)  # raising makes the health check fail

    @kopf.on.probe(registry=handlers, id="secondsSinceLastPass")
    async def _last_pass(**_: Any) -> float | None:
        seconds = operator.since_last_pass()
        return None if seconds is None else round(seconds, 1)

    @kopf.on.cleanup(registry=handlers)
    async def _cleanup(**_: Any) -> None:
        await operator.stop()

    return handlers


def settings() -> kopf.OperatorSettings:
    """Children are selected by the API server, so that not every pod of the cluster passes through; no CRDs or
    namespaces are watched, so that no right to them is needed."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.watching.label_selectors["", "v1", "pods"] = RUN_UID
    chosen.watching.label_selectors["", "v1", "services"] = RUN_UID
    chosen.watching.label_selectors["batch", "v1", "jobs"] = RUN_UID
    for noisy in ("kopf.objects", "kopf.activities", "aiohttp.access"):  # a line for every event, and for every probe
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return chosen
