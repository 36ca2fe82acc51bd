"""`enginebench export RUN`: reads a run and its points from the cluster and writes them in one file."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from kubernetes.aio.config import ConfigException

from enginebench.cluster.api import ApiError, Unavailable
from enginebench.cluster.client import Client, configuration, current_namespace
from enginebench.export import document, table
from enginebench.export.guidellm import as_guidellm
from enginebench.export.run import Run, read

FORMATS: dict[str, Callable[[Run], bytes]] = {
    "json": document.as_json,
    "csv": table.as_csv,
    "parquet": table.as_parquet,
    "guidellm": as_guidellm,
}
BINARY = frozenset({"parquet"})


def main(argv: Sequence[str]) -> int:
    """0 where everything that was measured is in the file, 1 with a sentence on stderr otherwise."""
    options = _parser().parse_args(argv)
    if options.format in BINARY and options.output is None and sys.stdout.isatty():
        return _failed(f"{options.format} is no text for a screen: name a file with --output")
    try:
        run = asyncio.run(_read(options.namespace or current_namespace(), options.run))
    except ConfigException as error:
        return _failed(f"no way to a Kubernetes API server: {error}")
    except (ApiError, Unavailable) as error:
        return _failed(f"{error}")
    if isinstance(run, str):
        return _failed(run)
    try:
        data = FORMATS[options.format](run)
    except ImportError as error:
        return _failed(f"{options.format} needs the package {error.name}: pip install 'enginebench[{options.format}]'")
    if options.output is None:
        sys.stdout.buffer.write(data)
    else:
        options.output.write_bytes(data)
    if run.missing:
        return _failed(f"no data for {len(run.missing)} measured points: {'; '.join(run.missing)}")
    return 0


async def _read(namespace: str, name: str) -> Run | str:
    async with Client(await configuration()) as api:
        run = await read(api, namespace, name)
    if run is None:
        return f"there is no BenchmarkRun {name} in namespace {namespace}; --namespace names another"
    return run


def _failed(why: str) -> int:
    print(f"enginebench export: {why}", file=sys.stderr)  # noqa: T201  # the command's last word
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="enginebench export", description="Write a run's results as a file.")
    parser.add_argument("run", metavar="RUN", help="name of the BenchmarkRun")
    parser.add_argument("-n", "--namespace", help="its namespace; where absent that of the kubeconfig's context")
    parser.add_argument(
        "--format",
        choices=sorted(FORMATS),
        default="json",
        help="json is whole; csv and parquet have a row a load point; guidellm is a report file of GuideLLM 0.8",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="where to write; standard output where absent"
    )
    return parser
