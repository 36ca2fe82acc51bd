"""A real cluster, driven with kubectl as a user drives it. `kubectl` is the one on PATH."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from enginebench.workflow.reasons import INVALID

SATURATED = "LoadGeneratorSaturated"
MEASURINGS = 3
"""So often a run is applied, at most, on a machine that is too busy for it."""
Manifest = Mapping[str, Any]
T = TypeVar("T")

SYSTEM = "enginebench-system"
OPERATOR = "deployment/enginebench-operator"
RUN_UID = "enginebench.dev/run-uid"
ROLE = "enginebench.dev/role"

SUCCESS = {
    "Finished": "True",
    "Succeeded": "True",
    "Reconciling": "False",
    "Stalled": "False",
    "ResultsAvailable": "True",
}
"""`outcome` of a run in which all went well."""


class KubectlError(Exception):
    """kubectl ended with an error; the text is what it said."""


def eventually(look: Callable[[], T | None], *, within: float, what: str, every: float = 0.5) -> T:
    """What `look` returns once it returns something true; TimeoutError after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:.0f} s: {what} (last seen: {found!r})")
        time.sleep(every)


@dataclass(frozen=True)
class Cluster:
    """One cluster, by its kubeconfig, with the operator's image that runs there."""

    kubeconfig: Path
    image: str

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Stdout; KubectlError with what it said on stderr where it fails."""
        done = subprocess.run(
            ["kubectl", *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            text=True,
            timeout=timeout,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
        )
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """One object, or a List of them, as kubectl names them."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found

    def apply(self, *manifests: Manifest, namespace: str | None = None) -> list[str]:
        """Apply; the `kind/name` of each."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        where = () if namespace is None else (f"--namespace={namespace}",)
        return self.kubectl("apply", *where, "--filename=-", "--output=name", stdin=document).split()

    def rollout(self) -> None:
        """Wait until the operator's Deployment is ready."""
        self.kubectl("rollout", "status", OPERATOR, f"--namespace={SYSTEM}", "--timeout=90s")

    def operator_pods(self) -> list[dict[str, Any]]:
        pods: list[dict[str, Any]] = self.get(
            "pods", f"--namespace={SYSTEM}", "--selector=app.kubernetes.io/component=operator"
        )["items"]
        return pods

    def kill_operator(self) -> None:
        """End its pods at once, as a lost node would."""
        self.kubectl(
            *("delete", "pods", f"--namespace={SYSTEM}", "--selector=app.kubernetes.io/component=operator"),
            *("--grace-period=0", "--force", "--wait=false"),
        )


@dataclass
class Namespace:
    """A namespace of one test, under the restricted Pod Security profile, and what the test put into it."""

    cluster: Cluster
    name: str
    kinds: str
    """Every namespaced kind in which something can be left over."""
    ours: set[str] = field(default_factory=set)

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        return self.cluster.kubectl(f"--namespace={self.name}", *arguments, stdin=stdin, timeout=timeout)

    def apply(self, *manifests: Manifest) -> None:
        self.ours |= set(self.cluster.apply(*manifests, namespace=self.name))

    def delete(self, reference: str) -> None:
        """Delete one object (`pod/name`) and do not wait for it."""
        self.kubectl("delete", reference, "--wait=false")

    def run(self, name: str) -> dict[str, Any]:
        return self.cluster.get("bmr", name, f"--namespace={self.name}")

    def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.run(name).get("status", {})
        return status

    def wait_finished(self, name: str, *, within: int = 120) -> dict[str, Any]:
        """The status once `kubectl wait` says that the run is over; what it stood at, where it does not."""
        try:
            self.kubectl("wait", "--for=condition=Finished", f"bmr/{name}", f"--timeout={within}s", timeout=within + 30)
        except KubectlError as error:
            raise AssertionError(f"{error}\n{self.describe(name)}") from error
        return self.status(name)

    def measure(
        self, run: Manifest, *, within: int = 120, wait: Callable[[str], dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        """Apply a run and give its status at the end, which `wait` may wait for in a way of its own.

        Where the machine was too busy for one of its points, which the point says, it is applied anew: what is expected
        of the last one is expected in full.
        """
        name: str = run["metadata"]["name"]
        for left in reversed(range(MEASURINGS)):
            self.apply(run)
            status = wait(name) if wait is not None else self.wait_finished(name, within=within)
            if not left or not held_up(status):
                break
            self.kubectl("delete", "bmr", name)
        return status

    def wait_status(
        self, name: str, holds: Callable[[dict[str, Any]], object], *, within: float = 60, what: str = "the status"
    ) -> dict[str, Any]:
        """The first status that `holds`."""

        def look() -> dict[str, Any] | None:
            status = self.status(name)
            return status if holds(status) else None

        try:
            return eventually(look, within=within, what=what)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.describe(name)}") from error

    def pods(self, role: str) -> list[dict[str, Any]]:
        """Pods of a role: `engine` or `load`."""
        pods: list[dict[str, Any]] = self.cluster.get("pods", f"--namespace={self.name}", f"--selector={ROLE}={role}")[
            "items"
        ]
        return pods

    def a_pod(self, role: str, *, within: float = 60) -> str:
        """Name of a pod of that role whose container runs."""

        def look() -> str | None:
            running = [p for p in self.pods(role) if p["status"]["phase"] == "Running"]
            alive = [p for p in running if "deletionTimestamp" not in p["metadata"]]
            return alive[0]["metadata"]["name"] if alive else None

        return eventually(look, within=within, what=f"a running {role} pod")

    def describe(self, name: str) -> str:
        """Everything that helps to see why a run is where it is."""
        parts = []
        for arguments in (
            ("get", "bmr", name, "--output=yaml"),
            ("get", "pods,jobs,services,configmaps", "--output=wide"),
            ("get", "events", "--sort-by=.lastTimestamp"),
            ("logs", f"--selector={ROLE}=load", "--tail=5"),
            ("logs", f"--selector={ROLE}=engine", "--tail=20"),
        ):
            try:
                parts.append(self.kubectl(*arguments))
            except KubectlError as error:
                parts.append(str(error))
        parts.append(self.cluster.kubectl("logs", OPERATOR, f"--namespace={SYSTEM}", "--tail=60"))
        return "\n--- \n".join(parts)

    def objects(self) -> set[str]:
        """Everything in the namespace, as `kind/name`."""
        return set(self.kubectl("get", self.kinds, "--output=name", "--ignore-not-found").split())

    def left_over(self) -> set[str]:
        """What a run left behind besides itself and its results."""
        results = self.kubectl("get", "configmaps", f"--selector={ROLE}=data,{RUN_UID}", "--output=name").split()
        return self.objects() - self.ours - set(results)


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, str]:
    """The condition of that type; a missing one is an error, for all are there from the first write."""
    found: Iterable[Mapping[str, str]] = (c for c in status.get("conditions", ()) if c["type"] == kind)
    return next(iter(found))


def held_up(status: Mapping[str, Any]) -> bool:
    """A point is worth nothing only because this machine was too busy for its load generator."""
    return any(INVALID.keys() & set(p.get("reasons") or ()) == {SATURATED} for p in status.get("points") or ())


def outcome(status: Mapping[str, Any]) -> dict[str, str]:
    """Condition → its status, in one small dictionary to compare. Comparable is no part of how a run ended."""
    return {c["type"]: c["status"] for c in status["conditions"] if c["type"] != "Comparable"}
