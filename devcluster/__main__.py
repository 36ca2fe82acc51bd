"""The command line: python -m devcluster up|down|status|purge|load|node-copy|base-image|agree-to-removal|kubectl."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from devcluster import current, process
from devcluster.cluster import Cluster
from devcluster.errors import DevclusterError, RefusedError
from devcluster.screen import Screen
from devcluster.settings import Settings, load


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m devcluster", description="The local Kubernetes cluster.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="bring the cluster up, or make sure that it is good")
    commands.add_parser("down", help="delete the cluster; caches stay")
    commands.add_parser("status", help="say how things stand; exit code 1 if the cluster is not up")
    commands.add_parser("purge", help="delete the cluster, the engine's images, and all caches")
    images = commands.add_parser("load", help="copy images of the container engine to the nodes")
    images.add_argument("--worker", action="store_true", help="to the worker alone: for images of engines, large ones")
    images.add_argument("image", nargs="+")
    copy = commands.add_parser("node-copy", help="put a file or a folder's content on the worker node")
    copy.add_argument("source", type=Path)
    copy.add_argument("target", help="absolute path on the node")
    commands.add_parser("base-image", help="print the Python base image for builds here; makes it if needed")
    commands.add_parser("agree-to-removal", help="ask before the operator leaves a cluster of your own")
    kubectl = commands.add_parser("kubectl", help="kubectl on the cluster", add_help=False, prefix_chars="\0")
    kubectl.add_argument("words", nargs="*")
    return top


def run(words: argparse.Namespace, settings: Settings, screen: Screen) -> int:
    if words.command == "agree-to-removal":
        current.agree_to_removal(settings)
        return 0
    if settings.current_context:
        return run_on_current(words, settings, screen)
    cluster = Cluster(settings, screen)
    match words.command:
        case "up":
            cluster.up()
        case "down":
            cluster.down()
        case "purge":
            cluster.purge()
        case "status":
            return 0 if cluster.status() else 1
        case "load":
            cluster.load(words.image, worker_only=words.worker)
        case "node-copy":
            cluster.node_copy(words.source, words.target)
        case "base-image":
            sys.stdout.write(f"{cluster.base_image()}\n")
        case "kubectl":
            kubectl = cluster.kubectl()
            env = process.environment(kubectl.env)
            os.execve(kubectl.program, ["kubectl", *words.words], env)  # noqa: S606 - replaces us, no shell
    return 0


def run_on_current(words: argparse.Namespace, settings: Settings, screen: Screen) -> int:
    match words.command:
        case "up":
            current.up(settings, screen)
        case "down" | "purge":
            current.down(settings, screen)
        case command:
            raise RefusedError(
                f"`{command}` is for the local cluster; CLUSTER=current has none."
                " Use your own kubectl, and push images to a registry that your cluster reads."
            )
    return 0


def main() -> int:
    screen = Screen()
    words = parser().parse_args()
    try:
        return run(words, load(), screen)
    except RefusedError as error:
        screen.error(str(error))
        return 2
    except (DevclusterError, OSError) as error:  # OSError: a full disk, a folder that is not ours
        screen.error(str(error))
        return 1
    except KeyboardInterrupt:
        screen.error("Interrupted. The same command goes on from what is there.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
