"""How much memory GuideLLM takes for each number of streams: `python -m bench.guidellm_memory 0.2.1 1 8 32 64 128`.

It loads a simulated engine on this machine. The memory is the peak of the proportional set sizes of all its processes:
what they share counts once. Its packages are those of `make guidellm`, for the Python that this runs on.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from bench import engine
from bench.loadgen.tree import Tree
from devcluster.settings import load
from enginebench.api.loadplan import DatasetPlan, GuideLlmPlan, LoadPlan, PointPlan, RequestPlan, Row, SyntheticRows
from enginebench.loadgen.guidellm.adapter import Job
from enginebench.loadgen.guidellm.point import ADAPTERS
from enginebench.loadgen.routes import ROUTES

SECONDS = 25.0
LOOK_SECONDS = 2.0
TOKENS = 64
MIB = 1024**2
ENGINE = ("--api", "vLLM", "--model", "tiny-sim", "--slots", "4096", "--decode-step-microseconds", "50000")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the memory of GuideLLM by its streams.")
    parser.add_argument("version", choices=ADAPTERS)
    parser.add_argument("streams", type=int, nargs="+")
    parser.add_argument("--workers", type=int, default=1, help="of 0.8.1; 1")
    arguments = parser.parse_args()
    packages = sorted((load().cache / "guidellm" / "built").glob(f"site-{arguments.version}-*/site"))
    if not packages:
        print(f"GuideLLM {arguments.version} is not installed: make guidellm", file=sys.stderr)
        return 1
    print("streams      MiB")
    with engine.running(*ENGINE) as simulated:
        for streams in arguments.streams:
            peak = _peak(arguments.version, packages[-1], simulated.url, streams, arguments.workers)
            print(f"{streams:7} {peak / MIB:8.0f}", flush=True)
    return 0


def _peak(version: str, packages: Path, url: str, streams: int, workers: int) -> int:
    """Bytes."""
    adapter = ADAPTERS[version]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = _job(version, url, streams, workers, folder)
        lines = (
            msgspec.json.encode(adapter.row(job, Row(prompt=f"{n} say it", output_tokens=TOKENS))) for n in range(4000)
        )
        job.rows.write_bytes(b"\n".join(lines))
        command = [sys.executable, "-m", *adapter.command(job)]
        variables = {**os.environ, **adapter.environment(job), "PYTHONPATH": str(packages), "HF_HOME": name}
        with subprocess.Popen(
            command, env=variables, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            tree, peak = Tree(process.pid), 0
            while process.poll() is None:
                peak = max(peak, tree.memory_bytes())
                time.sleep(LOOK_SECONDS)
            assert process.stderr is not None  # a pipe, as asked for
            said = process.stderr.read().decode(errors="replace")
        if process.returncode:
            raise SystemExit(f"GuideLLM {version} with {streams} streams failed:\n{said[-2000:]}")
        return peak


def _job(version: str, url: str, streams: int, workers: int, folder: Path) -> Job:
    request = RequestPlan(api="Completions", max_output_tokens=TOKENS)
    plan = LoadPlan(
        run_uid="memory",
        target="tiny-sim",
        attempt=1,
        url=url,
        dialect="vllm",
        model="tiny-sim",
        dataset=DatasetPlan(synthetic=SyntheticRows(rows=1, prompt_tokens=1, output_tokens=TOKENS)),
        request=request,
        ramp_seconds=0,
        guidellm=msgspec.convert({"version": version}, GuideLlmPlan),
    )
    return Job(
        plan=plan,
        point=PointPlan(index=0, concurrency=streams),
        body=ROUTES[request.api].body(plan, Row(prompt=""), TOKENS),
        most_tokens=TOKENS,
        seconds=SECONDS + streams / 4,
        cpus=float(workers),
        rows=folder / "rows.jsonl",
        report=folder / "report.json",
    )


if __name__ == "__main__":
    sys.exit(main())
