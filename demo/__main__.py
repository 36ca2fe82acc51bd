"""The command line of the demo: `python -m demo [--real]`; see `make demo`."""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console

from demo.errors import DemoError
from demo.follow import follow
from demo.kubectl import Kubectl
from demo.screen import LiveScreen, comparison, console
from demo.shows import NAMESPACE, REAL, REHEARSAL, ROOT, Show
from devcluster import settings

NAMESPACE_MANIFEST = f"""\
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""

INTRODUCTION = """\
EngineBench demo: {title}.

{steps}

{after}
"""
APPLIED = """\
{example} is applied: the operator deploys one engine after another, has it loaded,
   and frees the GPU. About {takes}."""
OWN_CLUSTER = f"""\
A Kubernetes cluster of its own on this machine: two nodes, one with a GPU to be asked for.
   With a container engine that can pull images: 2 min. Without, on Debian: everything is built here from Go modules
   and Debian's packages, {settings.COLD_START} on 2 cores the first time, under 1 min later, seconds while it is up."""
OWN_OPERATOR = """\
The operator's image is built, loaded into the cluster and installed from manifests/. 1 to 2 min the first time."""
AFTER_OWN = "The cluster stays up afterwards; `make cluster-down` removes it."
CURRENT_CLUSTER = "CLUSTER=current: your own kube context is used, and you are asked first."
CURRENT_OPERATOR = "The operator is installed from manifests/, with the image that you named."
AFTER_CURRENT = "The operator stays in your cluster afterwards; `make undeploy CLUSTER=current` removes it."


class Demo:
    """One showing."""

    def __init__(self, show: Show, environ: Mapping[str, str], output: Console) -> None:
        self._show = show
        self._environ = dict(environ)
        self._place = place = settings.from_environment(environ)
        self._kubectl = Kubectl.of(place)
        self._console = output
        self._applied = False
        self.doing = "it was starting"

    def run(self) -> int:
        """From nothing to the comparison; the exit code."""
        if self._place.current_context:
            self._check_current()
        self._introduce()
        for target in self._show.make:
            self._make(target)
        self._apply()
        return self._watch()

    def _check_current(self) -> None:
        """Refuse what cannot go well on a cluster that is not ours, before anything is touched."""
        if self._show is REAL:
            raise DemoError("REAL=1 puts a model on the node of the local cluster: leave CLUSTER=current out.")
        if not self._environ.get("IMAGE"):
            raise DemoError(
                "CLUSTER=current needs the operator's image where your cluster can pull it: build it with the "
                "Dockerfile, push it, and name it: make demo CLUSTER=current IMAGE=registry/name:tag"
            )

    def _introduce(self) -> None:
        current, show = self._place.current_context, self._show
        steps = [
            CURRENT_CLUSTER if current else OWN_CLUSTER,
            CURRENT_OPERATOR if current else OWN_OPERATOR,
            show.builds,
            APPLIED.format(example=show.example.relative_to(ROOT), takes=show.takes),
        ]
        text = INTRODUCTION.format(
            title=show.title,
            steps="\n".join(f"{number}. {step}" for number, step in enumerate(filter(None, steps), 1)),
            after=AFTER_CURRENT if current else AFTER_OWN,
        )
        self._console.print(text, markup=False, soft_wrap=True)

    def _make(self, target: str) -> None:
        self.doing = f"`make {target}` was at work"
        self._console.rule(f"make {target}", align="left")
        command = ["make", "--no-print-directory", "-C", str(ROOT), target]
        if subprocess.run(command, env=self._environ, check=False).returncode:
            raise DemoError(f"`make {target}` failed (see above). Once that is cured, `make demo` goes on from there.")
        self._environ["CONFIRM"] = "yes"  # `cluster-up` has asked where there was something to ask

    def _apply(self) -> None:
        name, example = self._show.run, self._show.example
        self.doing = f"{example.relative_to(ROOT)} was being applied"
        self._console.rule(f"kubectl apply -f {example.relative_to(ROOT)}", align="left")
        self._kubectl.run("apply", "--filename", "-", text=NAMESPACE_MANIFEST)
        for manifest in self._show.manifests:
            self._kubectl.run("apply", "--namespace", NAMESPACE, "--filename", str(manifest))
        old = self._kubectl.run(
            *("delete", "benchmarkrun", name, "--namespace", NAMESPACE, "--ignore-not-found", "--wait")
        )
        if old:
            self._console.print("The run of an earlier demo was deleted: a run is never edited, only made anew.")
        said = self._kubectl.run("apply", "--namespace", NAMESPACE, "--filename", str(example))
        self._console.print(said.strip(), markup=False)

    def _watch(self) -> int:
        self._applied = True
        runs = self._kubectl.watch("benchmarkrun", self._show.run, NAMESPACE)
        hint = (
            "The operator has not looked at the run yet. What it says: "
            "kubectl --namespace enginebench-system logs deployment/enginebench-operator"
        )
        with LiveScreen(self._console) as screen:
            status, outcome = follow(runs, screen, hint)
        self._console.print()
        self._console.print(comparison(status, f"{self._show.run}: {self._show.title}"))
        self._console.print(f"\n{outcome.sentence}", style="bold" if outcome.succeeded else "bold red", markup=False)
        self._console.print(self.farewell(), markup=False, soft_wrap=True)
        return 0 if outcome.succeeded else 1

    def interrupted(self) -> str:
        """What to say to a user who pressed Ctrl-C."""
        if not self._applied:
            return f"\nStopped while {self.doing}. Nothing was undone; `make demo` goes on from there."
        cancel = (
            f"""kubectl -n {NAMESPACE} patch bmr {self._show.run} --type=merge -p '{{"spec": {{"cancel": true}}}}'"""
        )
        return f"\nStopped watching; the run goes on in the cluster.{self.farewell()}\n  {cancel}   # end the run"

    def farewell(self) -> str:
        """The commands to go on with."""
        run = self._show.run
        lines = [
            self._kubectl.exports(),
            f"kubectl -n {NAMESPACE} get bmr -o wide",
            f"kubectl -n {NAMESPACE} get bmr {run} -o yaml     # every figure",
            f"kubectl -n {NAMESPACE} describe bmr {run}        # and what happened",
        ]
        if not self._place.current_context:
            lines.append("make cluster-down     # when you are done")
        return "\nTo go on:\n" + "\n".join(f"  {line}" for line in lines)


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """The exit code: 0 if the run succeeded, 1 if anything failed, 130 if it was interrupted."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="EngineBench, shown on a cluster of its own.")
    parser.add_argument("--real", action="store_true", help="real Ollama 0.9.2 on the CPU instead of simulated engines")
    arguments = parser.parse_args(argv)
    output = console()
    demo = Demo(REAL if arguments.real else REHEARSAL, os.environ if environ is None else environ, output)
    try:
        return demo.run()
    except DemoError as error:
        output.print(f"\n{error}", style="bold red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        output.print(demo.interrupted(), markup=False, soft_wrap=True)
        return 130


if __name__ == "__main__":
    sys.exit(main())
