"""A real Prometheus (Debian's) scrapes what DCGM's exporter tells, and the load generator asks it for the engine's GPUs.

The exporter itself needs a GPU: a page of its stands in for it.
"""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from enginebench.api.loadplan import PrometheusPlan
from enginebench.loadgen.prometheus import gpu_series
from enginebench.results.gpu_state import GpuSeries, summary
from images.wheels import debian_packages
from tests.unit.loadgen.plans import plan

POD = "run-vllm-e1-abcdef"
USED_BY = f'gpu="0",UUID="GPU-1",device="nvidia0",Hostname="gpu-1",container="engine",namespace="team",pod="{POD}"'
PAGE = f"""\
# HELP DCGM_FI_DEV_SM_CLOCK SM clock frequency (in MHz).
# TYPE DCGM_FI_DEV_SM_CLOCK gauge
DCGM_FI_DEV_SM_CLOCK{{{USED_BY}}} 1410
DCGM_FI_DEV_SM_CLOCK{{gpu="1",UUID="GPU-2",device="nvidia1",Hostname="gpu-1",pod="another"}} 210
# HELP DCGM_FI_DEV_GPU_TEMP GPU temperature (in C).
# TYPE DCGM_FI_DEV_GPU_TEMP gauge
DCGM_FI_DEV_GPU_TEMP{{{USED_BY}}} 88
# HELP DCGM_FI_DEV_CLOCK_THROTTLE_REASONS Current clock throttle reasons (bitmask of DCGM_CLOCKS_THROTTLE_REASON_*)
# TYPE DCGM_FI_DEV_CLOCK_THROTTLE_REASONS gauge
DCGM_FI_DEV_CLOCK_THROTTLE_REASONS{{{USED_BY}}} 96
"""
SETTINGS = """\
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: dcgm
  honor_labels: {honor}
  static_configs:
  - targets: ["{exporter}"]
    labels: {{pod: dcgm-exporter-x7k2p, namespace: gpu-operator}}
"""
SECONDS = 4.0
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prometheus, out of Debian's package; nothing is installed."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip("Prometheus is taken from Debian's packages, and there is no apt-get here")
    folder = tmp_path_factory.mktemp("debian")
    debian_packages(folder / "packages", "prometheus")
    [package] = (folder / "packages").glob("prometheus_*.deb")
    subprocess.run(["dpkg", "-x", package, folder / "unpacked"], check=True)
    return folder / "unpacked/usr/bin/prometheus"


async def exporter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The page, as DCGM's exporter serves it."""
    await reader.readuntil(b"\r\n\r\n")
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(PAGE)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n{PAGE}".encode())
    writer.close()


@asynccontextmanager
async def prometheus(program: Path, folder: Path, *, honor: bool) -> AsyncIterator[str]:
    """The URL of one that scrapes the page once a second."""
    scraped = await asyncio.start_server(exporter, "127.0.0.1", 0)
    free = await asyncio.start_server(exporter, "127.0.0.1", 0)
    target, address = (f"127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in (scraped, free))
    free.close()
    (folder / "prometheus.yml").write_text(SETTINGS.format(honor=str(honor).lower(), exporter=target))
    options = (f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data")
    async with scraped:
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                program, *options, f"--web.listen-address={address}", stderr=log
            )
        try:
            yield f"http://{address}"
        finally:
            process.terminate()
            await process.wait()


async def asked_until(url: str, seconds: float) -> list[GpuSeries]:
    """What the load generator finds, once a window of so many seconds has been scraped."""
    of, deadline, found = plan(prometheus=PrometheusPlan(url=url), engine_pod=POD), time.time() + PATIENCE_SECONDS, ""
    while time.time() < deadline:
        end = time.time()
        answer = await gpu_series(of, end - seconds, end)
        if isinstance(answer, list) and all(len(series.samples) >= seconds - 1 for series in answer):
            return answer
        found = str(answer)
        await asyncio.sleep(0.5)
    raise AssertionError(f"{PATIENCE_SECONDS} s without a full window; at last: {found}")


@pytest.mark.parametrize("honor", [False, True], ids=["exported_pod", "pod"])
async def test_a_real_prometheus_tells_of_the_engines_gpu(program: Path, tmp_path: Path, honor: bool) -> None:
    async with prometheus(program, tmp_path, honor=honor) as url:
        found = await asked_until(url, SECONDS)
        labels = await asyncio.to_thread(labels_of, url)
    assert ("exported_pod" in labels) is not honor, "this is what the two cases are about"
    assert {series.name: series.samples[0][1] for series in found} == {
        "DCGM_FI_DEV_SM_CLOCK": 1410.0,
        "DCGM_FI_DEV_GPU_TEMP": 88.0,
        "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS": 96.0,
    }
    state = summary(found)
    assert (state.gpus, state.temperature_max, state.thermal_throttling) == (1, 88.0, 1.0)


def labels_of(url: str) -> list[str]:
    """All that Prometheus has put on any series."""
    try:
        with urlopen(f"{url}/api/v1/labels", timeout=10) as answer:  # noqa: S310  # a URL of our own
            names: list[str] = json.load(answer)["data"]
    except URLError as error:
        raise AssertionError(f"Prometheus does not answer: {error}") from error
    return names
