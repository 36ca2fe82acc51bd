"""An agent as it runs in GuideLLM's container: a process of its own, with a `guidellm` on its PATH."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from enginebench.api.loadplan import AGENT_SOCKET
from enginebench.loadgen.guidellm import agent
from enginebench.loadgen.guidellm.remote import Agent


@asynccontextmanager
async def agent_with(
    folder: Path, program: str | None = None, version: str = "0.8.1", variables: Mapping[str, str] | None = None
) -> AsyncIterator[Path]:
    """The folder that it shares with us. `program`: the Python text that stands for GuideLLM in this test, installed
    under `version`; None: the real one, which is found with `variables`."""
    programs = folder / "bin"
    programs.mkdir()
    if program is not None:
        info = folder / "site" / f"guidellm-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: guidellm\nVersion: {version}\n")
        variables = {"PYTHONPATH": str(folder / "site")}
    text = (
        f"#!{sys.executable}\n{program}"
        if program is not None
        else f'#!/bin/sh\nexec {sys.executable} -m guidellm "$@"\n'
    )
    command = programs / "guidellm"
    command.write_text(text)
    command.chmod(0o755)
    environment = {**os.environ, **(variables or {}), "PATH": f"{programs}:{os.environ['PATH']}"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, agent.__file__, str(folder / AGENT_SOCKET), env=environment
    )
    try:
        await Agent(folder).hello()
        yield folder
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
