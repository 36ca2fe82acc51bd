"""CLUSTER=current: the cluster of the user's own kube context, after asking."""

from __future__ import annotations

import sys

import yaml

from devcluster import outputs, process
from devcluster.errors import DevclusterError, RefusedError
from devcluster.screen import Screen
from devcluster.settings import Settings


def up(settings: Settings, screen: Screen) -> None:
    """Export the current context to .cluster/kubeconfig; nothing is changed in the cluster."""
    program = process.which("kubectl")
    if program is None:
        raise RefusedError("CLUSTER=current needs kubectl in PATH.")
    view = ["config", "view", "--minify", "--output"]
    context = process.attempt([program, "config", "current-context"]).output.strip()
    if not context:
        raise RefusedError(
            "CLUSTER=current: your kubeconfig has no current context; choose one with `kubectl config use-context`."
        )
    server = process.run([program, *view, "jsonpath={.clusters[0].cluster.server}"]).strip()
    confirm(
        settings,
        f"CLUSTER=current would use context {context} ({server})",
        f"Use context {context} ({server})? EngineBench will install its CRD and operator there.",
    )
    done = process.attempt([program, "--request-timeout=20s", "get", "--raw", "/readyz"])
    if not done.ok:
        raise DevclusterError(f"The API server {server} of context {context} does not answer: {done.errors.strip()}")
    outputs.write_kubeconfig(settings, process.run([program, *view, "yaml", "--flatten", "--raw"]))
    outputs.write_environment(settings, None)
    outputs.link_program(settings, "kubectl", program)
    screen.say(f"Using context {context} ({server}). KUBECONFIG={settings.kubeconfig}")


def down(settings: Settings, screen: Screen) -> None:
    """Forget the context; the cluster is the user's and stays as it is."""
    outputs.remove(settings)
    screen.say("The kubeconfig of this checkout is removed; your cluster was not touched.")


def agree_to_removal(settings: Settings) -> None:
    """Ask before the operator is removed from a cluster of the user's own; RefusedError without a yes.

    Whose cluster it is stands in .cluster/, whatever CLUSTER says now.
    """
    if not outputs.of_the_user(settings):
        return
    config = yaml.safe_load(settings.kubeconfig.read_text())  # of one context, as `up` wrote it
    where = f"context {config['current-context']} ({config['clusters'][0]['cluster']['server']})"
    lost = "its CRD and with it every BenchmarkRun of that cluster, whoever made it"
    confirm(
        settings, f"This would remove EngineBench from {where}, {lost}", f"Remove EngineBench from {where}, {lost}?"
    )


def confirm(settings: Settings, statement: str, question: str) -> None:
    """Return if the user agrees; RefusedError otherwise."""
    if settings.confirmed:
        return
    if not sys.stdin.isatty():
        raise RefusedError(f"{statement}: set CONFIRM=yes to agree.")
    if input(f"{question} [yes/no] ").strip() != "yes":
        raise RefusedError("Nothing was done.")
