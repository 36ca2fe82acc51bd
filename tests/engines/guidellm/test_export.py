"""`enginebench export --format guidellm`, read by GuideLLM's own classes."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from enginebench.export import guidellm
from tests.engines.guidellm.packages import environment
from tests.unit.export.stored import config_map, exported, report

READ = """
import sys
from guidellm.benchmark.schemas.report import GenerativeBenchmarksReport
for benchmark in GenerativeBenchmarksReport.load_file(sys.argv[1]).benchmarks:
    print(benchmark.metrics.inter_token_latency_ms.successful.percentiles.p99)
"""


async def test_guidellm_itself_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(guidellm.as_guidellm(await exported(config_map(report(1)), config_map(report(0)))))
    command, variables = [sys.executable, "-c", READ, str(file)], environment("0.8.1")
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False, text=True, env=variables)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert [float(line) for line in ran.stdout.split()] == pytest.approx([20.0, 20.0], rel=0.004)
