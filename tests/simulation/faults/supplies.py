"""Images, Secrets, volumes and data sets that are not there, come late, or are wrong."""

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, ClassVar, Self

from tests.simulation.faults.base import EVERY, Fault
from tests.simulation.faults.nodes import NodeSlow
from tests.simulation.scenario import (
    CLAIM,
    DATASET,
    DATASET_URL,
    ENDPOINT_CA,
    ENDPOINT_KEY,
    INFERENCE_SERVICE,
    NAMESPACE,
    SERVICE,
    referred,
)

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario
    from tests.simulation.world import World

IMAGES = {"simulated": "registry.example", "ollama": "ollama/ollama", "vllm": "vllm-openai"}
NOT_FOUND = "failed to resolve reference: not found"
LATE = 6.0
"""The kubelet looks for a volume after 7.5, 15.5 and 31.5 s; the last is too late."""
SHORT, LONG = 15.0, 1_000_000.0


def _kind(spec: dict[str, object]) -> str:
    return next(kind for kind in (*IMAGES, "endpoint") if kind in spec)


@dataclass(frozen=True)
class ImageFault(Fault):
    """The image of a target's engine cannot be pulled for a while, or for ever."""

    kind: str
    seconds: float

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        kinds = [kind for target in scenario.spec["targets"] if (kind := _kind(target)) in ("ollama", "vllm")]
        return cls(kind=random.choice(kinds), seconds=random.choice((SHORT, LONG))) if kinds else None

    def arm(self, world: "World") -> None:
        errors, image = world.cluster.around.pull_errors, IMAGES[self.kind]
        errors[image] = NOT_FOUND
        if self.seconds == LONG:
            for target in world.scenario.spec["targets"]:
                if _kind(target) == self.kind:
                    world.doom(target["name"], "ImagePullFailed")
            return

        if any(isinstance(fault, NodeSlow) for fault in world.scenario.faults):
            world.excuse(EVERY, "ImagePullFailed")  # ten times as long is too long

        def flap() -> None:
            world.timeline.after(self.seconds, lambda: errors.pop(image, None))

        for role in ("engine", "fetch"):
            world.when(role, "bound", 0.0, lambda _: flap())


@dataclass(frozen=True)
class OperatorImageMissing(Fault):
    """Nobody can pull the operator's own image: no load pod ever runs."""

    weight = 0.3

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        return cls()

    def arm(self, world: "World") -> None:
        world.cluster.around.pull_errors[IMAGES["simulated"]] = NOT_FOUND
        for target in world.scenario.targets:
            world.doom(target, "ImagePullFailed")
        world.stops.add("ImagePullFailed")


@dataclass(frozen=True)
class SlowPull(Fault):
    """A pull takes minutes; beyond its limit it fails the target."""

    kind: str
    seconds: float

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        kinds = [kind for target in scenario.spec["targets"] if (kind := _kind(target)) in ("ollama", "vllm")]
        return cls(kind=random.choice(kinds), seconds=random.choice((150.0, 2500.0))) if kinds else None

    def arm(self, world: "World") -> None:
        world.cluster.around.pull_seconds[IMAGES[self.kind]] = self.seconds
        limit = (world.scenario.spec.get("timeouts") or {}).get("imagePullSeconds", 1800)
        slow = any(isinstance(fault, NodeSlow) for fault in world.scenario.faults)
        if self.seconds * (10 if slow else 1) > limit:
            for target in world.scenario.spec["targets"]:
                if _kind(target) == self.kind:
                    world.excuse(target["name"], "ImagePullTimeout")


@dataclass(frozen=True)
class SecretMissing(Fault):
    """The token's Secret comes late, or never."""

    seconds: float

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        has_token = any("tokenSecretRef" in target.get("vllm", {}) for target in scenario.spec["targets"])
        return cls(seconds=random.choice((SHORT, LONG))) if has_token else None

    def arm(self, world: "World") -> None:
        secrets = world.cluster.around.secrets
        secrets.discard((NAMESPACE, "hf-token"))
        if self.seconds == SHORT:
            for role in ("engine", "fetch"):
                world.when(role, "bound", SHORT, lambda _: secrets.add((NAMESPACE, "hf-token")))
            return
        for target in world.scenario.spec["targets"]:
            if "tokenSecretRef" in target.get("vllm", {}):
                world.doom(target["name"], "ContainerConfigError")


@dataclass(frozen=True)
class EndpointUnsupplied(Fault):
    """The Secret or the ConfigMap of an endpoint comes late, or never."""

    what: str
    late: bool

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        there = any("endpoint" in target for target in scenario.spec["targets"])
        return cls(what=random.choice(("token", "ca")), late=random.random() < 0.5) if there else None

    def arm(self, world: "World") -> None:
        secrets, key = world.cluster.around.secrets, (NAMESPACE, ENDPOINT_KEY)
        ca = world.store.find("ConfigMap", NAMESPACE, ENDPOINT_CA)
        assert ca is not None  # the scenario has it
        body = {"metadata": {"name": ENDPOINT_CA, "namespace": NAMESPACE}, "data": ca.obj["data"]}
        if self.what == "token":
            secrets.discard(key)
        else:
            world.store.remove(ca)
        names = [target["name"] for target in world.scenario.spec["targets"] if "endpoint" in target]
        if not self.late:
            for name in names:
                world.doom(name, "ContainerConfigError" if self.what == "token" else "CANotFound")
            return

        def supply() -> None:
            if self.what == "token":
                secrets.add(key)
            else:
                world.cluster.apply("ConfigMap", body)

        world.when("load", "bound", LATE, lambda _: supply(), target=names[0])


REFERENCES = {"serviceRef": ("Service", SERVICE), "inferenceServiceRef": ("InferenceService", INFERENCE_SERVICE)}


@dataclass(frozen=True)
class ReferenceNotThere(Fault):
    """What an endpoint refers to is created after the run, or never."""

    member: str
    late: bool
    waits: ClassVar[float] = 20.0
    reason: ClassVar[str] = "EndpointNotFound"

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        members = [member for member in REFERENCES if _referring(scenario, member)]
        return cls(member=random.choice(members), late=random.random() < 0.5) if members else None

    def arm(self, world: "World") -> None:
        self.take(world)
        if self.late:
            world.timeline.after(self.waits, lambda: self.give(world))
            return
        for name in _referring(world.scenario, self.member):
            world.doom(name, self.reason)

    def take(self, world: "World") -> None:
        item = world.store.find(REFERENCES[self.member][0], NAMESPACE, REFERENCES[self.member][1])
        assert item is not None  # the world has it
        world.store.remove(item)

    def give(self, world: "World") -> None:
        kind, name = REFERENCES[self.member]
        body = next(obj for one, obj in referred() if one == kind and obj["metadata"]["name"] == name)
        world.cluster.apply(kind, body)

    def excludes(self, other: Fault) -> bool:
        return isinstance(other, ReferenceNotThere)


@dataclass(frozen=True)
class ReferenceNotReady(ReferenceNotThere):
    """It is there, and not ready for a while, or for ever."""

    waits = 40.0
    reason = "EndpointNotReady"

    def take(self, world: "World") -> None:
        self._set(world, ready=False)

    def give(self, world: "World") -> None:
        self._set(world, ready=True)

    def _set(self, world: "World", *, ready: bool) -> None:
        if self.member == "serviceRef":
            (item,) = world.store.all("EndpointSlice")
            item.obj["endpoints"][0]["conditions"]["ready"] = ready
        else:
            (item,) = world.store.all("InferenceService")
            item.obj["status"]["conditions"][0]["status"] = str(ready)
        world.store.touch(item)


def _referring(scenario: "Scenario", member: str) -> list[str]:
    """Targets that name their endpoint so."""
    return [t["name"] for t in scenario.spec["targets"] if member in t.get("endpoint", {})]


@dataclass(frozen=True)
class ClaimMissing(Fault):
    """The claim of the model cache comes late, or never."""

    seconds: float

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        claims = any("pod" in target for target in scenario.spec["targets"])
        return cls(seconds=random.choice((SHORT, LONG))) if claims else None

    def arm(self, world: "World") -> None:
        claims = world.cluster.around.claims
        claims.discard((NAMESPACE, CLAIM))
        if self.seconds == SHORT:
            for role in ("engine", "fetch"):
                world.when(role, "created", SHORT, lambda _: self._bind(world))
            return
        for target in world.scenario.spec["targets"]:
            if "pod" in target:
                world.doom(target["name"], "VolumeNotFound")

    def _bind(self, world: "World") -> None:
        world.cluster.around.claims.add((NAMESPACE, CLAIM))
        world.cluster.scheduler.look()


@dataclass(frozen=True)
class DatasetFault(Fault):
    """The data set is missing, comes late, has a bad line, or changes after it was checked."""

    how: str

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        if "configMap" not in scenario.spec["workload"]["dataset"]:
            return None
        return cls(how=random.choice(("missing", "late", "key", "line", "empty", "changes")))

    def arm(self, world: "World") -> None:
        store = world.store
        prompts = store.find("ConfigMap", NAMESPACE, DATASET)
        assert prompts is not None  # the scenario has it
        data = prompts.obj["data"]
        match self.how:
            case "missing":
                store.remove(prompts)
                world.stops.add("DatasetNotFound")
            case "late":
                store.remove(prompts)
                body = {"metadata": {"name": DATASET, "namespace": NAMESPACE}, "data": data}
                world.timeline.after(LATE, lambda: world.cluster.apply("ConfigMap", body))
            case "key":
                data["other"] = data.pop("prompts.jsonl")
                world.stops.add("DatasetNotFound")
            case "line":
                data["prompts.jsonl"] += "{\n"
                world.stops.add("DatasetInvalid")
            case "empty":
                data["prompts.jsonl"] = ""
                world.stops.add("DatasetInvalid")
            case "changes":
                self._changes(world, data)

    def _changes(self, world: "World", data: dict[str, str]) -> None:
        def change() -> None:
            data["prompts.jsonl"] += '{"prompt": "More."}\n'

        world.when("load", "over", 0.0, lambda _: change(), target="")
        world.excuse(EVERY, "DatasetChanged")


@dataclass(frozen=True)
class DatasetOnClaimFault(Fault):
    """The volume with the data set is missing, comes late, does not hold the file, or the file is bad or changes."""

    how: str

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        if "persistentVolumeClaim" not in scenario.spec["workload"]["dataset"]:
            return None
        return cls(how=random.choice(("missing", "late", "file", "line", "changes")))

    def arm(self, world: "World") -> None:
        around, claim = world.cluster.around, (NAMESPACE, DATASET)
        files = around.claim_files[claim]
        (path,) = files
        match self.how:
            case "missing":
                around.claims.discard(claim)
                world.stops.add("DatasetNotFound")
            case "late":
                around.claims.discard(claim)
                world.timeline.after(LATE, lambda: self._bind(world))
            case "file":
                del files[path]
                world.stops.add("DatasetNotFound")
            case "line":
                files[path] += "{\n"
                world.stops.add("DatasetInvalid")
            case "changes":
                more = {path: files[path] + '{"prompt": "More."}\n'}
                world.when("load", "over", 0.0, lambda _: files.update(more), target="")
                world.excuse(EVERY, "DatasetChanged")

    def _bind(self, world: "World") -> None:
        world.cluster.around.claims.add((NAMESPACE, DATASET))
        world.cluster.scheduler.look()


@dataclass(frozen=True)
class DatasetAtUrlFault(Fault):
    """The data set is not at its URL, is another file there, or is no more there when it is loaded."""

    how: str

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        if "url" not in scenario.spec["workload"]["dataset"]:
            return None
        return cls(how=random.choice(("missing", "other", "goes", "changes")))

    def arm(self, world: "World") -> None:
        urls = world.cluster.around.urls
        match self.how:
            case "missing":
                del urls[DATASET_URL]
                world.stops.add("DatasetDownloadFailed")
            case "other":
                urls[DATASET_URL] += "\n"
                world.stops.add("DatasetDigestMismatch")
            case "goes":
                world.when("load", "over", 0.0, lambda _: urls.clear(), target="")
                world.excuse(EVERY, "DatasetDownloadFailed")
            case "changes":
                other = {DATASET_URL: urls[DATASET_URL] + "\n"}
                world.when("load", "over", 0.0, lambda _: urls.update(other), target="")
                world.excuse(EVERY, "DatasetDigestMismatch")
