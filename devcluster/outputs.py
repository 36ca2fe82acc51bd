"""The folder .cluster/ of a checkout: what users, tests and other programs read."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from devcluster.engine import Engine
from devcluster.settings import Settings

NAME_VARIABLE = "ENGINEBENCH_CLUSTER_NAME"
"""Exported for a cluster that is ours, and for no other."""


def write_kubeconfig(settings: Settings, text: str) -> None:
    write_atomically(settings.kubeconfig, text, 0o600)


def write_environment(settings: Settings, engine: Engine | None) -> None:
    """.cluster/env, to be sourced by a shell; `engine` is None for a cluster of the user's own."""
    values = {"KUBECONFIG": str(settings.kubeconfig), **(engine.env if engine else {})}
    if engine:
        values |= {NAME_VARIABLE: settings.name, "ENGINEBENCH_WORKER": settings.worker}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    lines.append(f"export PATH={shlex.quote(str(settings.outputs / 'bin'))}:$PATH")
    write_atomically(settings.outputs / "env", "\n".join(lines) + "\n", 0o644)


def of_the_user(settings: Settings) -> bool:
    """Whether .cluster/ is of a cluster of the user's own."""
    env = settings.outputs / "env"
    return env.exists() and f"export {NAME_VARIABLE}=" not in env.read_text()


def link_program(settings: Settings, name: str, target: Path) -> Path:
    """.cluster/bin/<name> → target, replaced in one step."""
    link = settings.outputs / "bin" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    draft = link.with_name(f".{name}.draft")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.rename(link)
    return link


def remove(settings: Settings) -> None:
    for path in (settings.kubeconfig, settings.outputs / "env"):
        path.unlink(missing_ok=True)


def write_atomically(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT, mode), "w") as file:
        file.write(text)
    draft.rename(path)
