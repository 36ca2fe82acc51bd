"""Endpoints by reference: what their objects say, in every state, and that nothing of them is touched."""

from typing import Any

import pytest
import yaml

from enginebench.api.endpoint import Endpoint
from enginebench.cluster.api import ApiError, Obj
from enginebench.cluster.references import reference
from enginebench.workflow.observed import Reference, ReferenceState
from tests.unit.cluster.fake import FakeApi

READY, NOT_READY = ReferenceState.READY, ReferenceState.NOT_READY
UNUSABLE = ReferenceState.UNUSABLE
ADDRESS = "http://llama.ns.svc.cluster.local"
TOKEN = "tokenSecretRef: {name: s, key: k}"


def service(ports: str = "[{port: 80, targetPort: 8000}]", **spec: Any) -> Obj:
    return {
        "kind": "Service",
        "metadata": {"name": "llm"},
        "spec": {"selector": {"app": "llm"}, "ports": yaml.safe_load(ports), **spec},
    }


def addresses(*ready: bool | None) -> Obj:
    """An EndpointSlice of the Service."""
    ends = [{"addresses": ["198.18.0.9"], "conditions": {} if one is None else {"ready": one}} for one in ready]
    marks = {"kubernetes.io/service-name": "llm"}
    return {"kind": "EndpointSlice", "metadata": {"name": "llm-abc", "labels": marks}, "endpoints": ends}


def inference_service(status: str, generation: int = 1) -> Obj:
    return {
        "kind": "InferenceService",
        "metadata": {"name": "llama", "generation": generation},
        **({"status": yaml.safe_load(status)} if status else {}),
    }


async def found(text: str, *objects: Obj) -> Reference:
    api = FakeApi(*objects)
    api.groups.add("serving.kserve.io")
    seen = await reference(api, "ns", Endpoint.model_validate(yaml.safe_load(text)))
    assert api.writes() == ["discover BenchmarkRun serving.kserve.io"] * (seen.state is ReferenceState.NOT_FOUND)
    return seen


@pytest.mark.parametrize(
    ("text", "objects", "want_state", "want"),
    [
        ("serviceRef: {name: llm}", [service(), addresses(True)], READY, "http://llm.ns.svc:80"),
        ("serviceRef: {name: llm}", [service(), addresses(False, None)], READY, "http://llm.ns.svc:80"),
        (
            "{serviceRef: {name: llm}, path: /openai}",
            [service(), addresses(True)],
            READY,
            "http://llm.ns.svc:80/openai",
        ),
        ("{serviceRef: {name: llm}, tls: {}}", [service(), addresses(True)], READY, "https://llm.ns.svc:80"),
        (f"{{serviceRef: {{name: llm}}, {TOKEN}}}", [service(), addresses(True)], READY, "http://llm.ns.svc:80"),
        ("serviceRef: {name: llm}", [service(clusterIP="None"), addresses(True)], READY, "http://llm.ns.svc:8000"),
        ("serviceRef: {name: llm}", [service(selector=None)], READY, "http://llm.ns.svc:80"),
        ("serviceRef: {name: llm}", [service()], NOT_READY, "its selector finds no pod that runs"),
        ("serviceRef: {name: llm}", [service(), addresses(False, False)], NOT_READY, "of its 2 pods none is ready"),
        (
            "serviceRef: {name: llm}",
            [service("[{port: 80, name: http}, {port: 90, name: metrics}, {port: 53, protocol: UDP}]")],
            UNUSABLE,
            "has the TCP ports 80 (http), 90 (metrics): say in port which one is meant",
        ),
        ("serviceRef: {name: llm, port: 81}", [service()], UNUSABLE, "has the TCP ports 80: say"),
        (
            "serviceRef: {name: llm, port: 90}",
            [service("[{port: 80}, {port: 90}]"), addresses(True)],
            READY,
            "http://llm.ns.svc:90",
        ),
        ("serviceRef: {name: llm}", [], ReferenceState.NOT_FOUND, "there is no Service llm in namespace ns"),
    ],
)
async def test_a_service(text: str, objects: list[Obj], want_state: ReferenceState, want: str) -> None:
    seen = await found(text, *objects) if want_state is not ReferenceState.NOT_FOUND else await missing(text)
    assert seen.state is want_state
    assert want in (seen.url or seen.words)
    assert (seen.url == want) is (want_state is READY)


async def missing(text: str) -> Reference:
    return await reference(FakeApi(), "ns", Endpoint.model_validate(yaml.safe_load(text)))


YES = "{type: Ready, status: 'True'}"


@pytest.mark.parametrize(
    ("member", "status", "want_state", "want"),
    [
        ("", f"{{conditions: [{YES}], address: {{url: {ADDRESS}}}, url: 'http://llama.example.com'}}", READY, ADDRESS),
        ("", f"{{conditions: [{YES}], url: 'https://llama.example.com/'}}", READY, "https://llama.example.com"),
        ("path: /openai", f"{{conditions: [{YES}], address: {{url: {ADDRESS}}}}}", READY, ADDRESS + "/openai"),
        (TOKEN, f"{{conditions: [{YES}], address: {{url: {ADDRESS}}}}}", READY, ADDRESS),
        (TOKEN, f"{{conditions: [{YES}], url: 'https://llama.example.com'}}", READY, "https://llama.example.com"),
        (TOKEN, f"{{conditions: [{YES}], url: 'http://llama.example.com'}}", UNUSABLE, "a token is sent only over"),
        ("tls: {}", f"{{conditions: [{YES}], url: 'http://llama.example.com'}}", UNUSABLE, "endpoint.tls is for https"),
        ("", f"{{conditions: [{YES}]}}", UNUSABLE, "answers at ''. That is no base URL"),
        ("", f"{{conditions: [{YES}], url: 'grpc://x'}}", UNUSABLE, "That is no base URL"),
        ("", "", NOT_READY, "it has no Ready condition yet"),
        ("", "{conditions: []}", NOT_READY, "it has no Ready condition yet"),
        ("", f"{{observedGeneration: 0, conditions: [{YES}]}}", NOT_READY, "its status is of an earlier generation"),
        (
            "",
            "{conditions: [{type: PredictorReady, status: 'False', reason: RevisionFailed, message: no GPU is free}, "
            "{type: Ready, status: 'False', reason: PredictorNotReady}, {type: IngressReady, status: Unknown}]}",
            NOT_READY,
            "llama is not ready: Ready is False (PredictorNotReady); PredictorReady is False (RevisionFailed: no GPU is "
            "free).",
        ),
        ("", "{conditions: [{type: Ready, status: Unknown}]}", NOT_READY, "Ready is Unknown."),
    ],
)
async def test_an_inference_service(member: str, status: str, want_state: ReferenceState, want: str) -> None:
    text = f"{{inferenceServiceRef: {{name: llama}}, {member}}}"
    seen = await found(text, inference_service(status))
    assert seen.state is want_state
    assert want in (seen.url or seen.words)
    assert (seen.url == want) is (want_state is READY)


@pytest.mark.parametrize(
    ("groups", "want"), [({"serving.kserve.io"}, "there is no InferenceService llama"), (set(), "KServe (serving.kserve.io)")]
)  # fmt: skip
async def test_no_inference_service_and_no_kserve_are_told_apart(groups: set[str], want: str) -> None:
    api = FakeApi()
    api.groups = groups
    seen = await reference(api, "ns", Endpoint.model_validate({"inferenceServiceRef": {"name": "llama"}}))
    assert seen.state is ReferenceState.NOT_FOUND
    assert want in seen.words


async def test_what_may_not_be_read_is_said() -> None:
    api = FakeApi(inference_service("{}"))
    api.refuse = lambda *_: ApiError(403, "Forbidden", "inferenceservices is forbidden")
    seen = await reference(api, "ns", Endpoint.model_validate({"inferenceServiceRef": {"name": "llama"}}))
    assert seen.state is ReferenceState.FORBIDDEN
    assert "inferenceservices is forbidden. Give it the right" in seen.words


async def test_without_a_right_to_slices_the_load_pod_finds_out_whether_somebody_answers() -> None:
    api = FakeApi(service())
    api.refuse = lambda verb, kind, _: ApiError(403, "Forbidden", "no") if kind == "EndpointSlice" else None
    seen = await reference(api, "ns", Endpoint.model_validate({"serviceRef": {"name": "llm"}}))
    assert seen == Reference(READY, "http://llm.ns.svc:80")


async def test_what_cannot_be_asked_now_is_asked_again_later() -> None:
    api = FakeApi()
    api.refuse = lambda *_: ApiError(400, "BadRequest", "x")
    with pytest.raises(ApiError):
        await reference(api, "ns", Endpoint.model_validate({"serviceRef": {"name": "llm"}}))
