"""Kubelets: mount, pull, start, watch, stop. One object stands for those of all nodes."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from tests.simulation.eventlog import EventLog
from tests.simulation.store import Change, Item, Store
from tests.simulation.surroundings import Surroundings
from tests.simulation.timeline import Program, Script

Obj = dict[str, Any]
Line = bytes
PULL_BACK_OFF = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
SYNC_SECONDS = 12.0
"""A waiting pod is looked at about so often."""
MOUNT_BACK_OFF = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 122.0)
LAST_BYTES = 2048
"""Of the log, in the termination message."""
LAST_LINES = 80


class Life:
    """A pod on its node: what the kubelet knows, whether or not it can tell the API server."""

    def __init__(self, pod: Item) -> None:
        self.pod = pod
        self.node = pod.node
        self.container: Obj = pod.obj["spec"]["containers"][0]
        self.state: Obj = {"waiting": {"reason": "ContainerCreating"}}
        self.phase = "Pending"
        self.volumes: dict[str, dict[str, str]] = {}
        """ConfigMaps and claims as they were mounted, by the volume's name."""
        self.image_id = ""
        self.log: list[Line] = []
        self.listeners: list[Callable[[Line], None]] = []
        self.at_end: list[Callable[[], None]] = []
        """Told when the container has ended: followers of its log see the end of the stream."""
        self.starter: Program | None = None
        self.program: Program | None = None
        self.server: object = None
        """What answers on the container's ports; see `programs.engine`."""
        self.stopping = False
        self.pod_reason = ""
        self.pod_message = ""
        self.refused = ""
        """Why the kubelet will not admit it: UnexpectedAdmissionError."""
        self.cause = ""
        """Reason of the container's end where it is not the program's own: OOMKilled."""

    @property
    def running(self) -> bool:
        return self.program is not None and self.program.running

    @property
    def over(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    def write(self, line: bytes) -> None:
        """The program writes a line to its log."""
        self.log.append(line)
        for listener in tuple(self.listeners):
            listener(line)


class Kubelets:
    """Watches bound pods and runs their one container with `launch`."""

    def __init__(
        self, store: Store, events: EventLog, random: Random, around: Surroundings, launch: Callable[[Life], Script]
    ) -> None:
        self._store = store
        self._events = events
        self._random = random
        self._around = around
        self._launch = launch
        self.lives: dict[str, Life] = {}
        self._pulled: set[tuple[str, str]] = set()
        store.watch(self._watch, "Pod")

    def _watch(self, change: Change, item: Item) -> None:
        if not item.node:
            return
        life = self.lives.get(item.uid)
        if change == "deleted":
            if life is not None:
                self._vanish(life)
        elif life is None and not item.over:
            life = self.lives[item.uid] = Life(item)
            life.starter = Program(self._store.timeline, self._start(life), lambda _: None)
        elif life is not None and item.deleting and not life.stopping and self.reaches(life):
            self.stop(life)

    def reaches(self, life: Life) -> bool:
        """The kubelet and the API server hear each other."""
        return life.node not in self._around.unreachable

    def _wait(self, life: Life, low: float, high: float) -> float:
        return self._random.uniform(low, high) * self._around.slowness.get(life.node, 1.0)

    # start ------------------------------------------------------------------------------------------------------

    def _start(self, life: Life) -> Script:
        yield self._wait(life, 0.05, 0.6)
        self.publish(life)
        for wait in _forever(MOUNT_BACK_OFF):
            missing = self._mount(life)
            if not missing:
                break
            self._events.tell(life.pod, "FailedMount", missing)
            yield wait
        yield from self._pull(life)
        while missing := self._unconfigured(life):
            self._wait_with(life, "CreateContainerConfigError", missing)
            self._events.tell(life.pod, "Failed", f"Error: {missing}")
            yield self._random.uniform(8.0, 15.0)
        if life.refused:
            life.phase, life.pod_reason, life.pod_message = "Failed", "UnexpectedAdmissionError", life.refused
            self.publish(life)
            return 0
        yield self._wait(life, 0.1, 0.8)
        self._run(life)
        return 0

    def _run(self, life: Life) -> None:
        life.state = {"running": {"startedAt": self._store.timeline.stamp}}
        life.phase = "Running"
        self.publish(life)
        life.program = Program(self._store.timeline, self._launch(life), lambda code: self._exited(life, code))
        if (probe := life.container.get("startupProbe")) is not None:
            budget = probe.get("initialDelaySeconds", 0) + probe.get("failureThreshold", 3) * probe.get(
                "periodSeconds", 10
            )
            self._store.timeline.after(budget, lambda: self._startup_probe_spent(life))

    def _startup_probe_spent(self, life: Life) -> None:
        if life.running and not self._around.answers(life):
            self._events.tell(life.pod, "Unhealthy", "Startup probe failed: connection refused")
            self._events.tell(life.pod, "Killing", "Container engine failed startup probe", warning=False)
            self._end_program(life)

    def _pull(self, life: Life) -> Script:
        image = life.container["image"]
        for wait in _forever(PULL_BACK_OFF):
            seconds, error = self._around.pull(image, self._random)
            cached = (life.node, image) in self._pulled
            if error:
                yield self._wait(life, 0.5, 3.0)
                said = f'failed to pull and unpack image "{image}": {error}'
                self._events.tell(life.pod, "Failed", f'Failed to pull image "{image}": {said}')
                self._wait_with(life, "ErrImagePull", said)
                yield self._wait(life, 1.0, 10.0)
                self._wait_with(life, "ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {said}')
                self._backs_off(life, image)
                while wait > 0.0:
                    yield min(wait, SYNC_SECONDS)
                    wait -= SYNC_SECONDS  # noqa: PLW2901 - what is left of it
                    self._backs_off(life, image)
                continue
            if not cached:
                yield seconds * self._around.slowness.get(life.node, 1.0)
                self._pulled.add((life.node, image))
            life.image_id = f"{image.partition('@')[0]}@sha256:{abs(hash_text(image)):064x}"
            return 0
        return 1  # never reached: the back-off has no end

    def _backs_off(self, life: Life, image: str) -> None:
        self._events.tell(life.pod, "BackOff", f'Back-off pulling image "{image}"', warning=False)
        self._events.tell(life.pod, "Failed", "Error: ImagePullBackOff")

    def _mount(self, life: Life) -> str:
        """Why a volume cannot be mounted, or "" when all are."""
        pod = life.pod
        for volume in pod.obj["spec"].get("volumes") or ():
            if claim := volume.get("persistentVolumeClaim"):
                files = self._around.claim_files.get((pod.namespace, claim["claimName"]), {})
                life.volumes[volume["name"]] = dict(files)
            wanted = volume.get("configMap")
            if wanted is None or wanted.get("optional"):
                continue
            found = self._store.find("ConfigMap", pod.namespace, wanted["name"])
            if found is None:
                return (
                    f'MountVolume.SetUp failed for volume "{volume["name"]}" : configmap "{wanted["name"]}" not found'
                )
            held = {**(found.obj.get("data") or {}), **(found.obj.get("binaryData") or {})}
            if missing := [i["key"] for i in wanted.get("items") or () if i["key"] not in held]:
                return f'MountVolume.SetUp failed for volume "{volume["name"]}" : references non-existent config key: {missing[0]}'
            life.volumes[volume["name"]] = dict(found.obj.get("data") or {})
        return ""

    def _unconfigured(self, life: Life) -> str:
        for entry in life.container.get("env") or ():
            reference = (entry.get("valueFrom") or {}).get("secretKeyRef")
            if reference and (life.pod.namespace, reference["name"]) not in self._around.secrets:
                return f'secret "{reference["name"]}" not found'
        return ""

    def _wait_with(self, life: Life, reason: str, message: str) -> None:
        life.state = {"waiting": {"reason": reason, "message": message}}
        self.publish(life)

    # end --------------------------------------------------------------------------------------------------------

    def stop(self, life: Life) -> None:
        """The pod is to go: SIGTERM, its grace, SIGKILL, gone."""
        life.stopping = True
        if life.running:
            self._end_program(life)
            return
        if life.starter is not None and life.starter.running:
            life.starter.freeze()
        if not life.over:
            life.phase = "Failed"
            if "waiting" in life.state and self._random.random() < 0.5:
                self._terminated(life, 137, "ContainerStatusUnknown")
            self.publish(life)
        self._store.timeline.after(self._random.uniform(0.02, 0.5), lambda: self._gone(life))

    def _end_program(self, life: Life) -> None:
        program = life.program
        assert program is not None  # the callers looked
        grace = life.pod.obj["metadata"].get("deletionGracePeriodSeconds")
        grace = life.pod.obj["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace
        self._store.timeline.after(float(grace), program.kill)
        program.terminate()

    def _exited(self, life: Life, code: int) -> None:
        life.server = None
        life.phase = "Succeeded" if code == 0 else "Failed"
        self._terminated(life, code, life.cause or ("Completed" if code == 0 else "Error"))
        for told in tuple(life.at_end):
            told()
        delay = self._random.uniform(0.02, 1.2)
        self._store.timeline.after(delay, lambda: self.publish(life))
        if life.stopping:
            self._store.timeline.after(delay + self._random.uniform(0.0, 0.6), lambda: self._gone(life))

    def _terminated(self, life: Life, code: int, reason: str) -> None:
        started = life.state.get("running", {}).get("startedAt")
        life.state = {
            "terminated": {
                "exitCode": code,
                "reason": reason,
                "startedAt": started,
                "finishedAt": self._store.timeline.stamp,
            }
        }
        if code and life.container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            text = b"".join(life.log[-LAST_LINES:]).decode(errors="replace")
            life.state["terminated"]["message"] = text[-LAST_BYTES:]

    def evict(self, life: Life, message: str) -> None:
        """Pressure on the node: the kubelet fails the pod and leaves the object."""
        life.pod_reason, life.pod_message = "Evicted", message
        disrupted(self._store, life.pod, "TerminationByKubelet", message)
        if life.running:
            assert life.program is not None  # running says so
            life.cause = ""
            life.program.kill(137)
        else:
            if life.starter is not None:
                life.starter.freeze()
            life.phase = "Failed"
            self.publish(life)

    def hang(self, life: Life) -> None:
        """The container's program does nothing any more."""
        if life.program is not None:
            life.program.hang()

    def kill(self, life: Life, code: int, cause: str = "Error") -> None:
        """The container dies by itself."""
        if life.running:
            assert life.program is not None  # running says so
            life.cause = cause
            life.program.kill(code)

    def _gone(self, life: Life) -> None:
        pod = life.pod
        if not self.reaches(life):
            life.stopping = False  # it will be told again when it is back
            return
        if self._store.of_uid(pod.uid) is pod and pod.deleting:
            self.publish(life)
            self._store.delete(pod, grace=0)

    def _vanish(self, life: Life) -> None:
        """The object was removed: nothing of the pod goes on (but on a node that nobody reaches)."""
        for program in (life.starter, life.program):
            if program is not None and program.running:
                program.freeze()
                program.exit_code = 137
        life.server = None
        life.stopping = True
        for told in tuple(life.at_end):
            told()

    # tell -------------------------------------------------------------------------------------------------------

    def publish(self, life: Life) -> None:
        """Write what is so into the pod's status."""
        pod = life.pod
        if not self.reaches(life) or self._store.of_uid(pod.uid) is not pod:
            return
        status = pod.obj["status"]
        status["phase"] = life.phase
        status.setdefault("startTime", self._store.timeline.stamp)
        if life.pod_reason:
            status["reason"], status["message"] = life.pod_reason, life.pod_message
        status["containerStatuses"] = [
            {
                "name": life.container["name"],
                "state": dict(life.state),
                "ready": "running" in life.state,
                "started": "running" in life.state,
                "restartCount": 0,
                "image": life.container["image"],
                "imageID": life.image_id,
            }
        ]
        self._store.touch(pod)

    def heard_again(self, node: str, *, rebooted: bool) -> None:
        """The node is back: what happened meanwhile is told, what was to be deleted is stopped."""
        for life in [life for life in self.lives.values() if life.node == node]:
            if self._store.of_uid(life.pod.uid) is not life.pod:
                continue
            if rebooted and not life.over:
                self._lost_by_reboot(life)
            self.publish(life)
            if life.pod.deleting and not life.stopping:
                self.stop(life)

    def _lost_by_reboot(self, life: Life) -> None:
        self._vanish(life)
        life.stopping = False
        life.phase = "Failed"
        self._terminated(life, 255, "Unknown")


def disrupted(store: Store, pod: Item, reason: str, message: str) -> None:
    """Add the DisruptionTarget condition: who takes the pod away says so first."""
    pod.obj["status"].setdefault("conditions", []).append(
        {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message,
         "lastTransitionTime": store.timeline.stamp}
    )  # fmt: skip
    store.touch(pod)


def hash_text(text: str) -> int:
    """The same number for a text in every process."""
    return sum(ord(letter) * 131**place for place, letter in enumerate(text[:24]))


def _forever(waits: tuple[float, ...]) -> Iterator[float]:
    yield from waits
    while True:
        yield waits[-1]
