"""The metrics of GPUs, asked of a server that answers as Prometheus' HTTP API does (version 1; recorded of 2.42)."""

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from enginebench.api.loadplan import PROMETHEUS_TOKEN_VARIABLE, AccessPlan, PrometheusPlan
from enginebench.loadgen.prometheus import gpu_series
from enginebench.results.engine_metrics import decode
from enginebench.workflow.verdicts import judge_point
from tests.support.engine import Engine, serving
from tests.unit.loadgen.plans import plan
from tests.unit.loadgen.points import measured
from tests.unit.loadgen.tls import Authority

POD = "run-vllm-e1-abcdef"
METRICS = {"DCGM_FI_DEV_SM_CLOCK": 1410.0, "DCGM_FI_DEV_GPU_TEMP": 88.0, "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS": 96.0}
Ask = Callable[[dict[str, str]], tuple[int, bytes]]


@asynccontextmanager
async def prometheus(answer: Ask, *, tls: ssl.SSLContext | None = None, token: str = "") -> AsyncIterator[str]:
    """Its URL; `answer` gets the parameters of the query, if the token is right."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        if token and f"authorization: bearer {token}" not in (header.lower() for header in headers):
            writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 12\r\n\r\nUnauthorized")
            writer.close()
            return
        target = urlsplit(line.split(" ")[1])
        assert target.path == "/api/v1/query"
        status, body = answer({name: values[0] for name, values in parse_qs(target.query).items()})
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()

    server = await asyncio.start_server(client, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def of_pod(label: str, pod: str = POD) -> Ask:
    """A sample a second of each metric, for whoever asks by this label."""

    def answer(asked: dict[str, str]) -> tuple[int, bytes]:
        found = re.fullmatch(r'{__name__=~"([A-Z_|]+)",(\w+)="([^"]+)"}\[(\d+)s\]', asked["query"])
        assert found is not None, asked
        names, by, whose, seconds = found[1].split("|"), found[2], found[3], int(found[4])
        end = int(float(asked["time"]))
        result = [
            {
                "metric": {"__name__": name, "UUID": "GPU-1", "gpu": "0", "Hostname": "gpu-1", label: pod},
                "values": [[at, f"{value:g}"] for at in range(end - seconds + 1, end + 1)],
            }
            for name, value in METRICS.items()
            if name in names and (by, whose) == (label, pod)
        ]
        return 200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()

    return answer


def said(status: int, document: Any) -> Ask:
    return lambda _: (status, json.dumps(document).encode())


@pytest.mark.parametrize("label", ["exported_pod", "pod"])
async def test_the_gpus_of_the_engines_pod(label: str) -> None:
    async with prometheus(of_pod(label)) as url:
        found = await gpu_series(plan(prometheus=PrometheusPlan(url=url), engine_pod=POD), 1000.0, 1010.0)
    assert isinstance(found, list)
    assert {series.name: series.samples[0] for series in found} == {n: (1001, value) for n, value in METRICS.items()}
    assert {len(series.samples) for series in found} == {10}
    assert {series.gpu for series in found} == {"GPU-1  0 gpu-1"}


async def test_behind_a_token_and_a_ca_as_on_openshift(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"said_in": "monitoring.prometheus", "token_variable": PROMETHEUS_TOKEN_VARIABLE}
    access = msgspec.structs.replace(authority.access, token_from="key token of Secret sa", **own)

    async def asked(access: AccessPlan) -> Any:
        what = plan(prometheus=PrometheusPlan(url=url, access=access), engine_pod=POD)
        return await gpu_series(what, 1000.0, 1010.0)

    async with prometheus(of_pod("exported_pod"), tls=authority.context(), token="sha256~right") as url:
        monkeypatch.setenv(PROMETHEUS_TOKEN_VARIABLE, "sha256~right\n")
        assert len(await asked(access)) == len(METRICS)
        assert "certificate" in await asked(msgspec.structs.replace(access, ca_file=""))
        monkeypatch.setenv(PROMETHEUS_TOKEN_VARIABLE, "sha256~wrong")
        assert await asked(access) == "Prometheus cannot be asked: HTTP 401: Unauthorized"
        monkeypatch.setenv(PROMETHEUS_TOKEN_VARIABLE, "")
        assert await asked(access) == (
            "Prometheus cannot be asked: monitoring.prometheus.tokenSecretRef: the key token of Secret sa is empty; put "
            "the token into it"
        )


@pytest.mark.parametrize(
    ("answer", "pod", "why"),
    [
        (of_pod("pod", "another"), POD, f"none of DCGM's metrics of pod {POD}"),
        (of_pod("pod"), "", "its pod is not known"),
        (said(400, {"status": "error", "errorType": "bad_data", "error": "parse error"}), POD, "HTTP 400: parse error"),
        (said(200, {"status": "success", "data": {"result": [{"values": 1}]}}), POD, "not an answer of Prometheus"),
    ],
)
async def test_why_nothing_is_known(answer: Ask, pod: str, why: str) -> None:
    async with prometheus(answer) as url:
        found = await gpu_series(plan(prometheus=PrometheusPlan(url=url), engine_pod=pod), 1000.0, 1010.0)
    assert isinstance(found, str)
    assert why in found


async def test_nobody_there() -> None:
    found = await gpu_series(plan(prometheus=PrometheusPlan(url="http://127.0.0.1:1"), engine_pod=POD), 1000.0, 1010.0)
    assert found == "Prometheus cannot be asked: Connection refused"


async def test_a_point_with_a_gpu_that_was_too_hot() -> None:
    async with prometheus(of_pod("exported_pod")) as url:
        report = await measured(Engine(), prometheus=PrometheusPlan(url=url), engine_pod=POD, duration_seconds=3)
    assert report.gpu_state is not None
    assert (report.gpu_state.gpus, report.gpu_state.thermal_throttling) == (1, 1.0)
    assert set(decode(report.gpu_series).columns) == {"smClock", "temperature"}
    verdict = judge_point(report)
    assert "GPUThrottled" in verdict.reasons
    assert "held down for heat in 100% of the samples, the hottest GPU at 88 °C" in verdict.message


async def test_a_point_without_anybody_to_ask() -> None:
    async with serving(Engine()):
        report = await measured(Engine())
    assert report.gpu_state is None
