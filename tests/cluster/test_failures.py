"""Every failure ends the run, in words that name the object and the cure, and leaves nothing behind.

The runs are started together, each in a namespace of its own, since most of their time is the operator's patience
(a registry that flaps, a Secret that is applied a moment later). None of them gets the one GPU.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.conftest import check_nothing_left, create_namespace
from tests.support.cluster import Cluster, Manifest, Namespace, condition, outcome
from tests.support.endpoints import (
    CA_REF,
    TOKEN_REF,
    URL,
    failing_server,
    file_server,
    secured_server,
    simulated_server,
)
from tests.support.runs import benchmark, simulated

CPU = {"gpu": {"count": 0}}


GATED = "huggingface_hub.errors.GatedRepoError: 403 Client Error. Cannot access gated repo for url http://hub/a/b."
TRACEBACK = "Traceback (most recent call last):\n" + '  File "vllm/v1/engine/core_client.py", line 1120\n' * 60
"""Longer than what the kubelet keeps of a log."""
CORE_FAILED = "RuntimeError: Engine core initialization failed. See root cause above."


@dataclass(frozen=True)
class Failure:
    """A run that must fail, and what its user must read."""

    target: dict[str, Any]
    reason: str
    """How the target's attempt ended; for a run that came to no target, the reason of Succeeded and Stalled."""
    words: tuple[str, ...]
    more: dict[str, Any]
    """More of the run's spec."""
    others: tuple[Manifest, ...] = ()
    """What stands in the namespace beside it."""
    verdict: str = "TargetsFailed"
    """Reason of the condition Succeeded."""


def engine(image: str, *args: str, pod: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A vLLM target of an image that starts like vLLM."""
    vllm = {"model": "tiny", "image": image, "args": list(args), **more}
    return {"name": "engine", "vllm": vllm, "pod": CPU | (pod or {})}


def endpoint(model: str, **more: Any) -> dict[str, Any]:
    return {"name": "engine", "endpoint": {"url": URL, "model": model, **more}}


def secured(**more: Any) -> dict[str, Any]:
    """An endpoint over TLS."""
    return endpoint("served", url=URL.replace("http", "https"), **more)


def failure(
    target: dict[str, Any],
    reason: str,
    *words: str,
    others: tuple[Manifest, ...] = (),
    verdict: str = "TargetsFailed",
    **more: Any,
) -> Failure:
    return Failure(target=target, reason=reason, words=words, others=others, verdict=verdict, more=more)


def failures(operator: str, vllm: str) -> dict[str, Failure]:
    """All of them, by name; `vllm` is an image that starts like vLLM and fails as its arguments say."""
    rows = {"name": "prompts", "key": "rows.jsonl"}
    torn = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "prompts"},
        "data": {"rows.jsonl": '{"prompt":'},
    }
    memory = {"resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "96Mi"}}}
    return {
        "image-not-there": failure(
            engine("localhost/enginebench/no-such-image:1"),
            "ImagePullFailed",
            "localhost/enginebench/no-such-image:1",
            "imagePullSecrets",
        ),
        "engine-exits": failure(
            engine(vllm, "--exit-with=ValueError: no config.json in tiny"),
            "EngineExited",
            "exited with code 1",
            "Its log says: ValueError: no config.json in tiny",
        ),
        "model-refused": failure(
            engine(vllm, f"--exit-with={GATED}\n{TRACEBACK}{CORE_FAILED}"),
            "ModelAccessDenied",
            "accept them at the hub",
            f"Its log says: {GATED} | {CORE_FAILED}",
        ),
        "gpu-out-of-memory": failure(
            engine(vllm, "--exit-with=torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 14 GiB"),
            "GPUOutOfMemory",
            "Tried to allocate 14 GiB",
            "smaller model",
        ),
        "host-out-of-memory": failure(
            engine(vllm, "--eat-memory", pod=memory), "OutOfMemory", "137", "resources.limits.memory"
        ),
        "startup-timeout": failure(
            engine(vllm, "--hang"),
            "StartupTimeout",
            "within 8 s",
            "spec.timeouts.startupSeconds",
            timeouts={"startupSeconds": 8},
        ),
        "gpu-not-there": failure(
            simulated(pod={"gpu": {"count": 2}}),
            "Unschedulable",
            "Insufficient nvidia.com/gpu",
            "schedulingSeconds",
            timeouts={"schedulingSeconds": 5},
        ),
        "secret-not-there": failure(
            engine(operator, tokenSecretRef={"name": "hf-token", "key": "token"}),
            "ContainerConfigError",
            'secret "hf-token" not found',
            "Create what is missing",
        ),
        "volume-not-there": failure(
            engine(vllm, pod={"modelCache": {"persistentVolumeClaim": {"claimName": "models"}}}),
            "VolumeNotFound",
            'persistentvolumeclaim "models" not found',
            timeouts={"schedulingSeconds": 5},
        ),
        "configmap-not-there": failure(
            simulated(),
            "DatasetNotFound",
            "ConfigMap prompts",
            "rows.jsonl",
            "Create it",
            verdict="DatasetNotFound",
            workload={"dataset": {"configMap": rows}},
        ),
        "dataset-torn": failure(
            simulated(),
            "DatasetInvalid",
            "ConfigMap prompts, key rows.jsonl",
            "line 1",
            others=(torn,),
            verdict="DatasetInvalid",
            workload={"dataset": {"configMap": rows}},
        ),
        "claim-of-the-dataset-not-there": failure(
            simulated(),
            "DatasetNotFound",
            "PersistentVolumeClaim prompts, path rows.jsonl",
            "Create it",
            verdict="DatasetNotFound",
            workload={"dataset": {"persistentVolumeClaim": {"claimName": "prompts", "path": "rows.jsonl"}}},
            timeouts={"schedulingSeconds": 5},
        ),
        "dataset-at-nobodys-url": failure(
            simulated(),
            "DatasetDownloadFailed",
            f"{URL}/rows.jsonl cannot be downloaded (5 tries)",
            verdict="DatasetDownloadFailed",
            workload={"dataset": {"url": {"url": f"{URL}/rows.jsonl", "sha256": "0" * 64}}},
        ),
        "dataset-of-another-digest": failure(
            simulated(),
            "DatasetDigestMismatch",
            hashlib.sha256(b"{}").hexdigest(),
            "0" * 64,
            others=file_server(operator, b"{}"),
            verdict="DatasetDigestMismatch",
            workload={"dataset": {"url": {"url": f"{URL}/rows.jsonl", "sha256": "0" * 64}}},
        ),
        "wrong-model": failure(
            endpoint("asked-for"), "WrongModel", "asked-for", "served", others=simulated_server(operator, "served")
        ),
        "token-not-there": failure(
            secured(tokenSecretRef=TOKEN_REF),
            "ContainerConfigError",
            'secret "llm-key" not found',
            "Create what is missing",
        ),
        "ca-not-there": failure(
            secured(tls={"caConfigMapRef": CA_REF}),
            "CANotFound",
            "endpoint.tls.caConfigMapRef: ConfigMap llm-ca with key ca.crt is not there",
        ),
        "certificate-refused": failure(
            secured(tokenSecretRef=TOKEN_REF),
            "CertificateRefused",
            "it is signed by nobody who is trusted",
            "endpoint.tls.caConfigMapRef",
            others=secured_server(operator, "served", "server"),
        ),
        "token-refused": failure(
            secured(tls={"caConfigMapRef": CA_REF}),
            "Unauthorized",
            "HTTP 401: Unauthorized",
            "endpoint.tokenSecretRef",
            others=secured_server(operator, "served", "server"),
        ),
        "every-request-failed": failure(
            endpoint("tiny"),
            "EveryRequestFailed",
            "the device was lost",
            others=failing_server(operator),
            verdict="NoUsablePoint",
        ),
    }


@pytest.fixture(scope="module")
def started(cluster: Cluster, kinds: str, vllm_image: str) -> Iterator[dict[str, Namespace]]:
    """All the runs, under way."""
    namespaces = {}
    for name, fails in failures(cluster.image, vllm_image).items():
        namespace = namespaces[name] = create_namespace(cluster, f"test-fails-{name}", kinds)
        namespace.apply(*fails.others, benchmark("run", fails.target, levels=[2], **fails.more))
    yield namespaces
    for namespace in namespaces.values():
        cluster.kubectl("delete", "namespace", namespace.name, "--wait=false")


@pytest.mark.parametrize("name", failures("", ""))
def test_a_failure_is_told_in_words(
    name: str, started: dict[str, Namespace], cluster: Cluster, vllm_image: str
) -> None:
    fails, namespace = failures(cluster.image, vllm_image)[name], started[name]
    status = namespace.wait_finished("run", within=240)
    assert status["phase"] == "Failed"
    assert outcome(status) | {"ResultsAvailable": ""} == {
        "Finished": "True",
        "Succeeded": "False",
        "Reconciling": "False",
        "Stalled": "True",
        "ResultsAvailable": "",
    }
    assert condition(status, "Succeeded")["reason"] == fails.verdict
    if status["targets"][0].get("attempts"):
        target = status["targets"][0]
        assert target["phase"] == "Failed"
        assert target["attempts"][-1]["reason"] == fails.reason
        told = target["message"]
    elif fetch := status["targets"][0].get("modelFetch"):  # what fails before there is an engine
        assert fetch["reason"] == fails.reason
        told = status["targets"][0]["message"]
    else:
        assert fails.verdict == fails.reason
        told = status["message"]
    missing = [words for words in fails.words if words not in told]
    assert not missing, f"{missing} not in: {told}"
    assert condition(status, "Succeeded")["message"]
    check_nothing_left(namespace)
