"""Runs a tool once against a reference server and puts together what it said and what was so."""

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from bench import machine
from bench.loadgen.rows import Load, Mode, Reported, Row
from bench.loadgen.tool import Task, Tool
from bench.loadgen.watch import Watch
from bench.reference import MODEL, Reference, Truth

PATIENCE_SECONDS = 240
"""Beyond the time asked for: start-up, warm-up, drain and the making of its report."""
ENDING_SECONDS = 10.0


def measure(
    tool: Tool, server: Reference, folder: Path, tokenizer: Path, streams: int, seconds: int, mode: Mode
) -> Row:
    """A row, whatever becomes of the tool."""
    # A tool that has no setting for more cores would only be moved to and fro between its own and the server's.
    cores = machine.cores() if mode == "best" and tool.settings else [machine.CLIENT_CORE]
    folder.mkdir(parents=True)
    task = Task(
        url=server.url,
        model=MODEL,
        streams=streams,
        seconds=seconds,
        mode=mode,
        cores=len(cores),
        folder=folder,
        tokenizer=tokenizer,
    )
    truth, load, late = _run(tool, task, server, cores)
    reported, problem = None, ""
    try:
        reported = tool.report(task)
    except (ValueError, KeyError, OSError) as error:
        said = (folder / "log").read_text(errors="replace").strip().splitlines()
        problem = f"{type(error).__name__}: {error}; it said: {' / '.join(said[-3:])}"[-400:]
    if late:
        problem = f"it was ended after {seconds + PATIENCE_SECONDS} s; {problem}"
    return _row(tool, task, reported, truth, load, problem)


def _row(tool: Tool, task: Task, reported: Reported | None, truth: Truth, load: Load, problem: str) -> Row:
    return Row(
        tool=tool.name,
        version=tool.version,
        mode=task.mode,
        streams=task.streams,
        reported=reported,
        truth=truth,
        load=load,
        problem=problem,
    )


def _run(tool: Tool, task: Task, server: Reference, cores: list[int]) -> tuple[Truth, Load, bool]:
    """Truth, load, and whether it had to be ended."""
    command = [*machine.client_prefix(cores), *tool.command(task)]
    server.reset()
    truth, first, late = None, 0.0, threading.Event()
    began = time.time()
    with (
        (task.folder / "log").open("wb") as log,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=tool.environment(task),
            cwd=task.folder,
            start_new_session=True,
        ) as process,
    ):
        machine.favour(process.pid)
        watch = Watch(process.pid, server)
        timer = threading.Timer(task.seconds + PATIENCE_SECONDS, _end, (process.pid, signal.SIGKILL, late))
        timer.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                match tool.sign(line):
                    case "begin":
                        first = server.reset().first_arrival_unix
                    case "take":
                        truth = server.truth()
                    case "end":
                        process.terminate()
            process.wait()
        finally:
            watch.stop()
            timer.cancel()
            _end(process.pid, signal.SIGKILL)
    truth = truth or server.truth()
    first = first or truth.first_arrival_unix
    return truth, watch.load(first - began if first else None), late.is_set()


def _end(session: int, number: signal.Signals, told: threading.Event | None = None) -> None:
    """Whatever is left of a session that we started."""
    if told is not None:
        told.set()
    with suppress(ProcessLookupError):
        os.killpg(session, number)
