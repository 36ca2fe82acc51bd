"""A seed → one run, the cluster it meets, and what goes wrong."""

import copy
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any

from enginebench.workflow.kueue import QUEUE
from tests.simulation.programs.engine import EngineBehaviour, Server

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster
    from tests.simulation.faults.base import Fault

Obj = dict[str, Any]
NAMESPACE = "bench"
RUN_NAME = "compare"
GPU = "NVIDIA-A100-PCIE-40GB"
DATASET = "prompts"
CLAIM = "models"
ENDPOINT = "https://198.18.7.7:8000"
ENDPOINT_KEY, ENDPOINT_CA = "llm-key", "llm-ca"
"""Its Secret and its ConfigMap."""
ADDRESS = "https://198-18-7-7.bench.svc.cluster.local"
SERVICE, INFERENCE_SERVICE = "llm", "llama"
"""What endpoints by reference refer to, and where the latter answers."""
SWEPT = ({"concurrency": {"max": 64}}, {"requestRate": {"min": "1", "max": "200"}})
ARRIVALS = ("Poisson", "Constant")
LOWEST, HIGHER = 8, (16, 20, 24, 32, 40, 48, 64, 96)
"""Loads of runs with stopWhen: 16 slots are saturated soon, and more than REFUSED_ABOVE are refused."""
REFUSED_ABOVE = 32


@dataclass(frozen=True, slots=True)
class NodePlan:
    name: str
    gpus: int
    labels: Mapping[str, str] = field(default_factory=dict)


GPU_LABELS = {"nvidia.com/gpu.product": GPU}
NODES = (NodePlan("cpu-1", 0), NodePlan("gpu-1", 1, GPU_LABELS))
ROWS = '{"prompt": "Say it.", "output_tokens_count": 64}\n' * 3
PROMPTS = {DATASET: {"prompts.jsonl": ROWS}}
FILES = {DATASET: {"chat/prompts.jsonl": ROWS}}
DATASET_URL = "https://files.example.com/prompts.jsonl"
URLS = {DATASET_URL: ROWS}
FROM_CLAIM = {"persistentVolumeClaim": {"claimName": DATASET, "path": "chat/prompts.jsonl"}}
FROM_URL = {"url": {"url": DATASET_URL, "sha256": hashlib.sha256(ROWS.encode()).hexdigest()}}
CA = {ENDPOINT_CA: {"ca.crt": "-----BEGIN CERTIFICATE-----"}}


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that determines a run: the same scenario plays the same way, always."""

    seed: int
    spec: Obj
    nodes: tuple[NodePlan, ...]
    faults: "tuple[Fault, ...]" = ()
    config_maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What lies on the claims."""
    urls: Mapping[str, str] = field(default_factory=dict)
    """What can be downloaded."""
    start_seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each target's engine takes to answer."""
    queue: str = ""
    """Of Kueue, by the run's label."""
    after_the_end: str = ""
    """What the user does to the finished run: "", "ttl", "suspend", "delete"."""

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(target["name"] for target in self.spec["targets"])

    @property
    def engines(self) -> tuple[str, ...]:
        """Targets with a pod."""
        return tuple(target["name"] for target in self.spec["targets"] if "endpoint" not in target)

    @property
    def levels(self) -> tuple[float, ...]:
        """The load points of each target, by users or by rate."""
        load = self.spec["workload"]["load"]
        if "sweep" in load:
            return tuple(range(load["sweep"]["points"]))
        if "throughput" in load:
            return (load["throughput"]["maxConcurrency"],)
        if "requestRate" in load:
            return tuple(map(float, load["requestRate"]["rates"]))
        return tuple(load["concurrency"]["levels"])

    @property
    def stop_when(self) -> Obj:
        """After what points are skipped."""
        said: Obj = self.spec["workload"].get("stopWhen", {})
        return said

    @property
    def repeats(self) -> int:
        """How often each point is measured."""
        count: int = self.spec["workload"].get("repeats", {}).get("count", 1)
        return count

    @property
    def engine_starts(self) -> int:
        """How many engines each target has, if nothing happens."""
        said = self.spec["workload"].get("repeats", {})
        return self.repeats if said.get("unit", "Engine") == "Engine" else 1

    @property
    def points_of_target(self) -> int:
        return len(self.levels) * self.repeats

    def manifest(self, name: str) -> Obj:
        """The run as a user would apply it."""
        return {
            "apiVersion": "enginebench.dev/v1alpha1",
            "kind": "BenchmarkRun",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": {QUEUE: self.queue} if self.queue else {}},
            "spec": copy.deepcopy(self.spec),
        }

    def engine_behaviours(self) -> Iterator[tuple[str, EngineBehaviour]]:
        for target in self.spec["targets"]:
            seconds = self.start_seconds.get(target["name"], 5.0)
            refused = REFUSED_ABOVE if "errorRatePercent" in self.stop_when else None
            yield (
                target["name"],
                EngineBehaviour(start_seconds=seconds, has_model="ollama" not in target, refuses_above=refused),
            )

    def add_endpoints(self, cluster: "Cluster") -> None:
        for target in self.spec["targets"]:
            if "endpoint" in target:
                behaviour = cluster.engines[target["name"]]
                url = _url(target["endpoint"])
                cluster.endpoints[url] = Server(behaviour, cluster.timeline.unix, up=True)

    def with_faults(self, *faults: "Fault") -> "Scenario":
        """The same, and this goes wrong."""
        return replace(self, faults=faults)

    def without(self, fault: "Fault") -> "Scenario":
        return replace(self, faults=tuple(other for other in self.faults if other is not fault))


def draw(seed: int, *, faults: int | None = None) -> Scenario:
    """The scenario of a seed; `faults` sets how many things go wrong (drawn, where None)."""
    from tests.simulation.faults import FAULTS

    random = Random(f"scenario {seed}")  # noqa: S311 - reproducible on purpose
    scenario = calm(seed, random)
    wanted = random.choices((0, 1, 2, 3, 4), (10, 35, 30, 15, 10))[0] if faults is None else faults
    drawn: list[Fault] = []
    while len(drawn) < wanted:
        kind = random.choices(FAULTS, [kind.weight for kind in FAULTS])[0]
        if (fault := kind.draw(random, scenario)) is not None and not any(fault.excludes(other) for other in drawn):
            drawn.append(fault)
    return replace(scenario, faults=tuple(drawn))


def calm(seed: int, random: Random) -> Scenario:
    """A run that nothing happens to."""
    kinds = random.choices(("simulated", "ollama", "vllm", "endpoint"), (5, 3, 2, 1), k=random.choice((1, 1, 2, 2, 3)))
    targets = [_target(kind, place, random) for place, kind in enumerate(kinds)]
    _refer(seed, targets)
    levels = sorted(random.sample((1, 2, 4, 8, 16, 32), random.choice((1, 1, 2, 2, 3))))
    workload: Obj = {
        "dataset": random.choice(
            (
                {"synthetic": {"rows": 50, "promptTokens": 32, "outputTokens": 64}},
                {"inline": {"rows": [{"prompt": "Say it.", "promptTokens": 3, "outputTokens": 64}]}},
                {"configMap": {"name": DATASET, "key": "prompts.jsonl"}},
                FROM_CLAIM,
                FROM_URL,
            )
        ),
        "load": _load(seed, levels, repeated=_repeats(seed) is not None),
        "rampSeconds": random.choice((0, 0, 5)),
        "warmup": {"maxSeconds": random.choice((0, 5))},
        **random.choice(
            ({"durationSeconds": 2}, {"durationSeconds": 10}, {"durationSeconds": 45}, {"maxRequests": 200})
        ),
    }
    if (repeats := _repeats(seed)) is not None:
        workload["repeats"] = repeats
    if (stop := _stop_when(seed)) is not None:
        workload |= stop
    spec: Obj = {"targets": targets, "workload": workload}
    if random.random() < 0.9:
        spec["timeouts"] = {
            "schedulingSeconds": random.choice((120, 600)), "imagePullSeconds": 300, "modelDownloadSeconds": 300,
            "startupSeconds": random.choice((60, 180)), "pointGraceSeconds": random.choice((30, 120)),
        }  # fmt: skip
    if random.random() < 0.5:
        spec["placement"] = {"topology": random.choice(("SameNode", "SameProduct", "Any"))}
    same_node = spec.get("placement", {}).get("topology", "SameNode") == "SameNode"
    mixed = len({kind in ("ollama", "vllm") for kind in kinds if kind != "endpoint"}) > 1
    if set(kinds) != {"endpoint"} and (random.random() < 0.3 or (same_node and mixed)):
        # else the first might settle on a node without a GPU, to which the others are then bound
        spec["engineDefaults"] = {"gpu": {"count": 1}}
    if (pods := _load_pods(seed, workload["load"])) > 1:
        spec["loadGenerator"] = {"pods": pods}
    elif (first := _by_guidellm(seed, spec)) is not None:
        first["loadGenerator"] = {"guidellm": {"version": "0.8.1"}}
    if random.random() < 0.2:
        spec["ttlSecondsAfterFinished"] = random.choice((0, 30, 600))
    return Scenario(
        seed=seed,
        spec=spec,
        nodes=NODES if random.random() < 0.6 else (*NODES, NodePlan("gpu-2", 1, GPU_LABELS)),
        config_maps=PROMPTS | CA,
        secrets=("hf-token", ENDPOINT_KEY),
        claims=(CLAIM, DATASET),
        files=FILES,
        urls=URLS,
        queue=_queue(seed),
        start_seconds={target["name"]: random.uniform(1.0, 40.0) for target in targets},
        after_the_end=random.choice(("", "", "ttl", "suspend", "delete")),
    )


def calm_scenario(
    *, targets: list[Obj], dataset: Obj, levels: list[int], seconds: int = 2, repeats: Obj | None = None
) -> Scenario:
    """A run of your own choice that nothing happens to."""
    workload = {
        "dataset": dataset,
        "load": {"concurrency": {"levels": levels}},
        "rampSeconds": 0,
        "durationSeconds": seconds,
        **({"repeats": repeats} if repeats is not None else {}),
    }
    spec = {"targets": targets, "engineDefaults": {"gpu": {"count": 1}}, "workload": workload}
    return Scenario(seed=0, spec=spec, nodes=NODES, config_maps=PROMPTS, claims=(DATASET,), files=FILES, urls=URLS)


def _repeats(seed: int) -> Obj | None:
    random = Random(f"repeats {seed}")  # noqa: S311 - reproducible on purpose
    if random.random() < 0.7:
        return None
    return {"count": random.choice((1, 2, 2, 3)), "unit": random.choice(("Engine", "Engine", "Point"))}


def _load_pods(seed: int, load: Obj) -> int:
    """Of each target: sometimes several, where each has a user."""
    random = Random(f"load pods {seed}")  # noqa: S311 - reproducible on purpose
    least = min(load.get("concurrency", {}).get("levels", [32]))
    return 1 if random.random() < 0.6 or "concurrency" in load.get("sweep", {}) else min(least, random.choice((2, 3)))


def _by_guidellm(seed: int, spec: Obj) -> Obj | None:
    """A target that GuideLLM loads, sometimes, where it can."""
    random = Random(f"guidellm {seed}")  # noqa: S311 - reproducible on purpose
    able = [target for target in spec["targets"] if "endpoint" not in target]
    return random.choice(able) if able and "maxRequests" not in spec["workload"] and random.random() < 0.3 else None


def _stop_when(seed: int) -> Obj | None:
    """stopWhen, with loads after some of which it stops."""
    random = Random(f"stop {seed}")  # noqa: S311 - reproducible on purpose
    if random.random() < 0.8:
        return None
    levels = [LOWEST, *random.sample(HIGHER, random.randint(2, 6))]
    levels = random.sample(levels, len(levels)) if random.random() < 0.2 else sorted(levels)
    by_users: Obj = {"concurrency": {"levels": levels}}
    said: Obj = random.choice(({"saturated": True}, {}, {"saturated": True}))
    if not said or random.random() < 0.3:
        said["errorRatePercent"] = random.choice((1, 20, 50, 100))
    by_rate: Obj = {"requestRate": {"rates": [str(level) for level in levels]}}
    return {"load": random.choice((by_users, by_users, by_rate)), "stopWhen": said}


def _load(seed: int, levels: list[int], *, repeated: bool) -> Obj:
    """By users or, sometimes, by as many rates, or otherwise."""
    random = Random(f"load {seed}")  # noqa: S311 - reproducible on purpose
    if random.random() < 0.7:
        return {"concurrency": {"levels": levels}}
    if not repeated and random.random() < 0.4:
        return {"sweep": {"points": 2 + len(levels), **random.choice(SWEPT)}}
    if random.random() < 0.2:
        return {"throughput": {"maxConcurrency": 64}}
    return {"requestRate": {"rates": [f"{level / 2:g}" for level in levels], "arrival": random.choice(ARRIVALS)}}


def _queue(seed: int) -> str:
    random = Random(f"queue {seed}")  # noqa: S311 - reproducible on purpose
    return "gpu-queue" if random.random() < 0.2 else ""


def _refer(seed: int, targets: list[Obj]) -> None:
    """Half of the endpoints are named by reference."""
    random = Random(f"references {seed}")  # noqa: S311 - reproducible on purpose
    for target in targets:
        if "endpoint" in target and random.random() < 0.5:
            del target["endpoint"]["url"]
            ref = random.choice(
                ({"serviceRef": {"name": SERVICE}}, {"inferenceServiceRef": {"name": INFERENCE_SERVICE}})
            )
            target["endpoint"] |= ref


def _url(endpoint: Obj) -> str:
    """Where it answers."""
    if "serviceRef" in endpoint:
        return f"https://{SERVICE}.{NAMESPACE}.svc:8000"
    url: str = endpoint.get("url", ADDRESS)
    return url


def referred() -> Iterator[tuple[str, Obj]]:
    """Kind and object of all that endpoints refer to, ready."""
    ports = [{"name": "http", "port": 8000, "targetPort": 8000, "protocol": "TCP"}]
    yield "Service", _named(SERVICE, spec={"selector": {"app": "llm"}, "ports": ports})
    marks = {"kubernetes.io/service-name": SERVICE}
    ends = [{"addresses": ["198.18.7.8"], "conditions": {"ready": True}}]
    yield "EndpointSlice", _named("llm-abcde", marks, endpoints=ends)
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "address": {"url": ADDRESS}}
    yield "InferenceService", _named(INFERENCE_SERVICE, status=ready)


def _named(name: str, labels: Obj | None = None, **rest: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": NAMESPACE, "labels": labels or {}}, **rest}


def _target(kind: str, place: int, random: Random) -> Obj:
    match kind:
        case "simulated":
            api = random.choice(("vLLM", "Ollama"))
            return {"name": f"t{place}-sim", "simulated": {"api": api, "model": "tiny", "slots": 16}}
        case "ollama":
            cache = (
                {"pod": {"modelCache": {"persistentVolumeClaim": {"claimName": CLAIM}}}}
                if random.random() < 0.5
                else {}
            )
            engine = {"model": "tiny", "numParallel": random.choice((1, 4))}
            return {"name": f"t{place}-ollama", "ollama": engine, **cache}
        case "vllm":
            secret = {"tokenSecretRef": {"name": "hf-token", "key": "token"}} if random.random() < 0.5 else {}
            own = Random(f"cache {place} {secret} {random.getstate()[1][:4]}")  # noqa: S311 - reproducible on purpose
            pod = {"modelCache": {"persistentVolumeClaim": {"claimName": CLAIM}}}
            cache = {"pod": pod} if own.random() < 0.5 else {}
            return {"name": f"t{place}-vllm", "vllm": {"model": "org/tiny", **secret}, **cache}
    references = {
        "tokenSecretRef": {"name": ENDPOINT_KEY, "key": "token"},
        "tls": {"caConfigMapRef": {"name": ENDPOINT_CA, "key": "ca.crt"}},
    }
    return {"name": f"t{place}", "endpoint": {"url": ENDPOINT, "model": "tiny", **references}}
