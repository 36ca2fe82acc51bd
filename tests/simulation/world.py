"""One simulated run and all around it: cluster, operators, faults, and what the faults excuse."""

import copy
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

from enginebench.cluster import labels
from tests.simulation.cluster import Cluster
from tests.simulation.operator import Operator
from tests.simulation.scenario import NAMESPACE, RUN_NAME, Scenario, referred
from tests.simulation.store import RUN, Change, Item

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Waiter:
    """Something that happens some time after a pod has come so far."""

    role: str
    target: str | None
    state: str
    after: float
    action: Callable[[Item], object]


class World:
    """What a scenario plays in. Faults arm themselves on it; invariants look at it."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario = replace(scenario, spec=copy.deepcopy(scenario.spec))  # faults may edit it
        self.random = Random(f"world {scenario.seed}")  # noqa: S311 - reproducible on purpose
        self.cluster = Cluster(scenario.seed)
        self.store = self.cluster.store
        self.timeline = self.cluster.timeline
        self.transcript = self.cluster.transcript
        self.operators: list[Operator] = []
        self.excuses: defaultdict[str, set[str]] = defaultdict(set)
        """Target → reasons with which it may fail."""
        self.dooms: defaultdict[str, set[str]] = defaultdict(set)
        """Target → it must fail, with one of these reasons."""
        self.stops: set[str] = set()
        """Reasons with which the whole run may end early."""
        self.losses: list[float] = []
        """When something began that may cost a point that was measured and is not collected yet."""
        self.violations: list[str] = []
        self.run: Item | None = None
        """The run that faults are about."""
        self.runs: list[Item] = []
        """It, and others that faults have added."""
        self.finished_runs: set[str] = set()
        """UIDs of runs whose Finished is True."""
        self._at_work: set[str] = set()
        """UIDs of those that are neither finished nor gone."""
        self.ended: Obj | None = None
        """The run as it was when Finished was written."""
        self._waiters: list[Waiter] = []
        self.store.watch(self._watch, "Pod")
        self.store.watch(self._gone, RUN)

    # for faults ---------------------------------------------------------------------------------------------------

    def excuse(self, target: str, *reasons: str) -> None:
        """The target (or EVERY) may fail with these reasons."""
        self.excuses[target].update(reasons)

    def doom(self, target: str, *reasons: str) -> None:
        """The target must fail, with one of these reasons."""
        self.dooms[target].update(reasons)

    def lose(self) -> None:
        """From now on, what was measured and is not collected may be lost."""
        self.losses.append(self.timeline.now)

    def strike(self, what: str) -> None:
        self.transcript.note("fault", what)

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """`action` at that time of the run."""
        self.timeline.after(seconds - self.timeline.now, action)

    def when(
        self, role: str, state: str, after: float, action: Callable[[Item], object], *, target: str | None = None
    ) -> None:
        """Once: `after` seconds after the first pod of `role` (engine, load) is created, bound, running or over."""
        self._waiters.append(Waiter(role, target, state, after, action))

    def alive(self, item: Item) -> bool:
        return self.store.of_uid(item.uid) is item

    @property
    def operator(self) -> Operator:
        """The newest process."""
        return self.operators[-1]

    @property
    def by_operator(self) -> bool:
        """What happens now happens in a call of an operator."""
        return self.cluster.api.current is not None

    @property
    def finished(self) -> bool:
        """The run is."""
        return self.run is not None and self.run.uid in self.finished_runs

    def over(self) -> bool:
        """Every run is finished or gone."""
        return not self._at_work

    def apply_run(self, name: str = RUN_NAME) -> Item:
        """The scenario's run, under this name."""
        run = self.cluster.apply(RUN, self.scenario.manifest(name))
        self.runs.append(run)
        self._at_work.add(run.uid)
        return run

    def _watch(self, change: Change, item: Item) -> None:
        if not self._waiters or change == "deleted":
            return
        state = "over" if item.over else "running" if item.phase == "Running" else "bound" if item.node else "created"
        role, target = item.labels.get(labels.ROLE), item.labels.get(labels.TARGET)
        for waiter in tuple(self._waiters):
            if waiter.role == role and waiter.state == state and waiter.target in (None, target):
                self._waiters.remove(waiter)
                self.timeline.after(waiter.after, partial(waiter.action, item))

    def _gone(self, change: Change, item: Item) -> None:
        if change == "deleted":
            self._at_work.discard(item.uid)

    def finish(self, run: Obj) -> None:
        """Its Finished has become True."""
        self.ended = run
        self.finished_runs.add(run["metadata"]["uid"])
        self._at_work.discard(run["metadata"]["uid"])

    # for judges ---------------------------------------------------------------------------------------------------

    def violated(self, sentence: str) -> None:
        self.violations.append(sentence)
        self.transcript.note("judge", "VIOLATED:", sentence)

    def setup(self) -> None:
        """Nodes, what the run refers to, the operator, the faults, and at last the run."""
        scenario, cluster = self.scenario, self.cluster
        for node in scenario.nodes:
            cluster.nodes.add(node.name, gpus=node.gpus, labels=dict(node.labels))
        for name, data in scenario.config_maps.items():
            cluster.apply("ConfigMap", {"metadata": {"name": name, "namespace": NAMESPACE}, "data": dict(data)})
        for kind, obj in referred():
            cluster.apply(kind, obj)
        cluster.around.secrets |= {(NAMESPACE, name) for name in scenario.secrets}
        cluster.around.claims |= {(NAMESPACE, name) for name in scenario.claims}
        cluster.around.claim_files |= {(NAMESPACE, name): dict(files) for name, files in scenario.files.items()}
        cluster.around.urls |= scenario.urls
        cluster.engines = dict(scenario.engine_behaviours())
        scenario.add_endpoints(cluster)
        self.operators.append(Operator(cluster, self.random))
        for fault in scenario.faults:
            fault.arm(self)
        self.run = self.apply_run()


def is_true(run: Item, condition: str) -> bool:
    """The run's condition is True."""
    found = next((c for c in run.obj.get("status", {}).get("conditions") or () if c["type"] == condition), None)
    return found is not None and found["status"] == "True"
