"""A whole virtual cluster: the store, its controllers, its nodes, and the programs that run in its pods."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from enginebench.api import loadplan
from enginebench.cluster import labels
from enginebench.cluster.api import ApiError, Unavailable
from enginebench.results.point_report import PointReport
from tests.simulation.apiserver import RUN_STATUS_AT_FIRST, VirtualCluster
from tests.simulation.controllers import INDEX, GarbageCollector, JobController
from tests.simulation.eventlog import EventLog
from tests.simulation.kubelet import Kubelets, Life
from tests.simulation.kueue import Kueue
from tests.simulation.nodes import Nodes
from tests.simulation.programs import loadpod
from tests.simulation.programs.engine import EngineBehaviour, Server, run_engine
from tests.simulation.programs.fetchpod import FetchBehaviour, FetchPod
from tests.simulation.programs.loadpod import LoadBehaviour, LoadPod
from tests.simulation.scheduler import Scheduler
from tests.simulation.store import RUN, Item, Store, clone
from tests.simulation.surroundings import Surroundings
from tests.simulation.timeline import Script, Timeline
from tests.simulation.transcript import Transcript

Obj = dict[str, Any]
URL = re.compile(r"http://(?P<service>[^.:/]+)\.(?P<namespace>[^.:/]+)\.svc:(?P<port>\d+)")


@dataclass(frozen=True, slots=True)
class Spoken:
    """The truth: a load pod has written this point to its log."""

    run_uid: str
    target: str
    attempt: int
    pod_uid: str
    at: float
    report: PointReport
    payload: bytes


class Cluster:
    """Everything but the operator."""

    def __init__(self, seed: int = 0) -> None:
        self.timeline = Timeline()
        self.transcript = Transcript(self.timeline)
        self.store = Store(self.timeline, seed)
        self.random = Random(f"cluster {seed}")  # noqa: S311 - reproducible on purpose
        self.around = Surroundings()
        self.around.answers = lambda life: life.server is not None
        events = EventLog(self.store)
        self.scheduler = Scheduler(self.store, events, self.random, self.around.has_claim)
        self.kubelets = Kubelets(self.store, events, self.random, self.around, self._launch)
        self.jobs = JobController(self.store, events, self.random)
        self.garbage = GarbageCollector(self.store, self.random)
        self.nodes = Nodes(self.store, self.kubelets, self.around, self.random)
        self.api = VirtualCluster(self.store, self.transcript, self._read_log)
        self.kueue = Kueue(self.store, self.random)
        self.api.mutating.append(self.kueue.mutate)
        self.engines: dict[str, EngineBehaviour] = {}
        """By target."""
        self.loads: dict[str, LoadBehaviour] = {}
        self.endpoints: dict[str, Server] = {}
        """Servers outside of the cluster, by URL."""
        self.spoken: list[Spoken] = []
        self.measuring: set[str] = set()
        """UIDs of load pods that are between their first and their last point."""
        self.oddities: list[str] = []
        """What nobody asked for and no invariant looks for: a Service that selects two engines, …"""
        self.stored: Callable[[list[bytes], bytes], bytes] = lambda _, line: line
        """What a line of a load pod's log is where it is stored, given those before it."""
        self.fetches: dict[str, FetchBehaviour] = {}
        self.fetched: dict[str, set[str]] = {}
        """By claim: the models on it."""
        self._started: Counter[tuple[str, str]] = Counter()
        self._leaders: dict[tuple[str, str, int], tuple[Life, LoadPod]] = {}
        self._followers: defaultdict[tuple[str, str, int], list[Life]] = defaultdict(list)
        """By run, target and attempt."""

    # what users do ------------------------------------------------------------------------------------------------

    def apply(self, kind: str, obj: Obj) -> Item:
        """`kubectl create` of anything; a run gets its first generation and status."""
        if kind == RUN:
            obj["metadata"]["generation"] = 1
            obj.setdefault("status", dict(RUN_STATUS_AT_FIRST))
        return self.store.add(kind, obj)

    def edit(self, run: Item, change: Callable[[Obj], object]) -> None:
        """`kubectl edit` of a run's spec: a new generation if anything changed."""
        if self.store.of_uid(run.uid) is not run:
            return
        spec = clone(run.obj["spec"])
        change(spec)
        if spec != run.obj["spec"]:
            run.obj["spec"] = spec
            run.obj["metadata"]["generation"] += 1
            self.store.touch(run)

    def run_of(self, item: Item) -> Item | None:
        """The run that a child belongs to, if it is still there."""
        return self.store.of_uid(item.labels.get(labels.RUN_UID, ""))

    # what pods do -------------------------------------------------------------------------------------------------

    def _launch(self, life: Life) -> Script:
        container = life.container
        self.transcript.note("cluster", life.pod.name, "runs on", life.node)
        if life.pod.labels.get(labels.ROLE) == "fetch":
            return self._launch_fetch(life)
        if "loadgen" in [*(container.get("command") or ()), *(container.get("args") or ())]:
            return self._launch_load(life)
        target = life.pod.labels.get(labels.TARGET, "")
        behaviour = self.engines.setdefault(target, EngineBehaviour())
        self._started[("engine", target)] += 1
        if self.fetched.get(_claim(life), set()):
            behaviour = replace(behaviour, has_model=True)
        if self._started[("engine", target)] > behaviour.pods:
            behaviour = behaviour.sound()
        return run_engine(life, behaviour, self.random, self.timeline.unix)

    def _launch_load(self, life: Life) -> Script:
        pod = life.pod
        target = pod.labels.get(labels.TARGET, "")
        behaviour = self.loads.setdefault(target, LoadBehaviour())
        self._started[("load", target)] += 1
        if self._started[("load", target)] > behaviour.pods:
            behaviour = LoadBehaviour(behaviour.start_seconds)
        text = _mounted(life, loadplan.PLAN_FOLDER, loadplan.PLAN_FILE)
        if text is None:
            return _no_plan(life)
        plan = loadpod.read_plan(text)
        if plan.target != target or str(plan.attempt) != pod.labels.get(labels.ATTEMPT):
            self.oddities.append(f"{pod} is labelled {pod.labels} and its plan says {plan.target}/{plan.attempt}")
        if behaviour.dies_after is not None:
            self.timeline.after(
                behaviour.dies_after, lambda: self.kubelets.kill(life, behaviour.exit_code, behaviour.reason)
            )
        if behaviour.silent_after is not None:
            self.timeline.after(behaviour.silent_after, lambda: self.kubelets.hang(life))

        def spoke(report: PointReport, payload: bytes) -> None:
            self.transcript.note("cluster", pod.name, f"measured point {report.index}", report.requests)
            self.spoken.append(
                Spoken(plan.run_uid, plan.target, plan.attempt, pod.uid, self.timeline.now, report, payload)
            )

        place = (plan.run_uid, plan.target, plan.attempt)
        if pod.labels.get(INDEX, "0") != "0":
            self._followers[place].append(life)
            return loadpod.follow(behaviour, lambda: self._led(place))

        sees = loadpod.Surroundings(
            timeline=self.timeline,
            dial=self.dial,
            read_file=lambda path: _mounted(
                life, loadplan.DATASET_FOLDER, path.removeprefix(f"{loadplan.DATASET_FOLDER}/")
            ),
            download=self.around.urls.get,
            write=lambda line: life.write(self.stored(life.log, line)),
            spoke=spoke,
            measuring=lambda on: self.measuring.add(pod.uid) if on else self.measuring.discard(pod.uid),
            followers=lambda: sum(map(self._answers, self._followers[place])),
        )
        self._leaders[place] = (life, leader := LoadPod(plan, sees, self.random))
        if behaviour.stuck_after is not None:
            self.timeline.after(behaviour.stuck_after, lambda: self._stick(life, leader))
        return leader.run(behaviour)

    def _stick(self, life: Life, leader: LoadPod) -> None:
        """What works hangs; the heart beats."""
        self.kubelets.hang(life)
        if life.running:
            leader.say(leader.said)
            self.timeline.after(loadpod.SPEAK_EVERY, lambda: self._stick(life, leader))

    def _launch_fetch(self, life: Life) -> Script:
        """What brings a model onto its claim; which program it is makes no difference here."""
        pod = life.pod
        target = pod.labels.get(labels.TARGET, "")
        text = _mounted(life, loadplan.PLAN_FOLDER, loadplan.PLAN_FILE)
        if text is None:
            return _no_plan(life)
        plan = loadpod.read_plan(text)
        if (plan.task, plan.target, str(plan.attempt)) != ("fetch", target, pod.labels.get(labels.ATTEMPT)):
            self.oddities.append(f"{pod} is labelled {pod.labels} and its plan says {plan.target}/{plan.attempt}")
        behaviour = self.fetches.setdefault(target, FetchBehaviour())
        if self.engines.setdefault(target, EngineBehaviour()).pull_error:
            behaviour = replace(behaviour, error="ModelPullFailed")
        self._started[("fetch", target)] += 1
        if self._started[("fetch", target)] > behaviour.pods:
            behaviour = FetchBehaviour(seconds=behaviour.seconds)
        if behaviour.dies_after is not None:
            self.timeline.after(
                behaviour.dies_after, lambda: self.kubelets.kill(life, behaviour.exit_code, behaviour.reason)
            )
        if behaviour.silent_after is not None:
            self.timeline.after(behaviour.silent_after, lambda: self.kubelets.hang(life))
        disk = self.fetched.setdefault(plan.claim, set())
        program = FetchPod(plan, self.timeline, lambda line: life.write(self.stored(life.log, line)), disk, self.random)
        return program.run(behaviour)

    def _answers(self, life: Life) -> bool:
        """As one load pod sees another one: it runs, and its node is there."""
        return life.running and life.program is not None and not life.program.hangs and self.kubelets.reaches(life)

    def _led(self, place: tuple[str, str, int]) -> bool:
        """There is a leader for the load pods of an attempt, and it has not let them go."""
        life, leader = self._leaders.get(place, (None, None))
        return life is not None and leader is not None and self._answers(life) and leader.leads

    def dial(self, url: str) -> Server | None:
        """What answers at `url`: through the Service's selector and ports, as a real connection would go."""
        if url in self.endpoints:
            return self.endpoints[url]
        match = URL.fullmatch(url)
        if match is None:
            return None
        service = self.store.find("Service", match["namespace"], match["service"])
        if service is None:
            return None
        selector = service.obj["spec"].get("selector") or {}
        port = next((p for p in service.obj["spec"].get("ports") or () if p["port"] == int(match["port"])), None)
        answering = [
            life.server
            for life in self.kubelets.lives.values()
            if isinstance(life.server, Server)
            and self.kubelets.reaches(life)
            and life.pod.namespace == service.namespace
            and port is not None
            and selector
            and all(life.pod.labels.get(key) == value for key, value in selector.items())
            and _listens(life, port.get("targetPort", port["port"]))
        ]
        if len(answering) > 1:
            self.oddities.append(f"{service} leads to {len(answering)} engines")
        return answering[0] if answering else None

    def _read_log(self, pod: Item) -> list[bytes]:
        life = self.kubelets.lives.get(pod.uid)
        if life is None or (life.program is None and not life.over):
            raise ApiError(400, "BadRequest", f'container in pod "{pod.name}" is waiting to start: ContainerCreating')
        if not self.kubelets.reaches(life):
            raise Unavailable(f"node {life.node}: connect: no route to host")
        return life.log


def _claim(life: Life) -> str:
    volumes = life.pod.obj["spec"].get("volumes") or ()
    return next((v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v), "")


def _no_plan(life: Life) -> Script:
    """What is mounted is not ours."""
    yield 0.3
    life.write(b"enginebench loadgen: /etc/enginebench/plan.json: no such file\n")
    return 1


def _listens(life: Life, target_port: str | int) -> bool:
    ports = life.container.get("ports") or ()
    return any(target_port in (port.get("name"), port["containerPort"]) for port in ports)


def _mounted(life: Life, folder: str, file: str) -> str | None:
    """A file of what is mounted at `folder`, as it was when the pod started."""
    mount = next((m for m in life.container.get("volumeMounts") or () if m["mountPath"] == folder), None)
    return None if mount is None else life.volumes.get(mount["name"], {}).get(file)
