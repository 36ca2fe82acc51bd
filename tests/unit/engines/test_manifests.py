"""The Pods of the engines, whole: compared with the files in golden/.

`UPDATE_GOLDEN=1 pytest tests/unit/engines` writes them anew; read the difference before it is committed.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from enginebench.engines.base import Platform
from enginebench.engines.manifest import engine_pod
from tests.unit.engines.specs import spec, target

GOLDEN = Path(__file__).parent / "golden"
PLATFORM = Platform(image="registry.example/enginebench:0.1.0", image_pull_policy="IfNotPresent")

CASES = {
    "vllm": """
        vllm:
          model: meta-llama/Llama-3.1-8B-Instruct
          args: ["--max-model-len=8192"]
          tokenSecretRef: {name: hf-token, key: token}
        pod:
          resources: {requests: {cpu: "4", memory: 32Gi}, limits: {memory: 64Gi}}
          nodeSelector: {nvidia.com/gpu.product: NVIDIA-A100-PCIE-40GB}
          modelCache: {persistentVolumeClaim: {claimName: models}}
        """,
    "ollama": "ollama: {model: llama3.1:8b-instruct-fp16}",
    "ollama-tuned-on-cpu": """
        ollama: {model: tiny, image: "localhost/ollama:0.9.2", numParallel: 4, contextLength: 8192, maxQueue: 64,
                 keepAlive: 10m, flashAttention: false, kvCacheType: q8_0}
        pod:
          gpu: {count: 0}
          modelCache: {emptyDir: {sizeLimit: 2Gi}}
          tolerations: [{key: dedicated, operator: Exists}]
          imagePullSecrets: [{name: registry}]
          serviceAccountName: engines
          priorityClassName: low
          runtimeClassName: nvidia
          schedulerName: other
          labels: {team: inference}
          annotations: {sidecar.istio.io/inject: "false"}
          env: [{name: OLLAMA_DEBUG, value: "1"}, {name: LICENSE, valueFrom: {secretKeyRef: {name: l, key: k}}}]
        """,
    "llama-cpp": """
        llamaCpp:
          model: bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:Q8_0
          image: ghcr.io/ggml-org/llama.cpp:server-cuda-b11549
          parallel: 32
          contextLength: 2048
          args: ["--flash-attn", "on"]
          tokenSecretRef: {name: hf-token, key: token}
        pod:
          modelCache: {persistentVolumeClaim: {claimName: models}}
        """,
    "simulated": """
        simulated: {api: Ollama, model: llama, slots: 4, decodeStepMicroseconds: 2000, jitterPercent: 5, seed: 7}
        pod: {gpu: {count: 1}}
        """,
}


def rendered(member: str, platform: Platform = PLATFORM, **bond: str) -> dict[str, Any]:
    spec_, one = target(member)
    return engine_pod(spec_, one, platform, **bond)


@pytest.mark.parametrize("case", CASES)
def test_pod_is_as_in_the_golden_file(case: str) -> None:
    file = GOLDEN / f"{case}.yaml"
    pod = rendered(CASES[case])
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(yaml.safe_dump(pod, sort_keys=False))
    assert pod == yaml.safe_load(file.read_text())


@pytest.mark.parametrize("case", CASES)
def test_pod_meets_restricted_pod_security(case: str) -> None:
    pod_spec = rendered(CASES[case])["spec"]
    (container,) = pod_spec["containers"]
    assert pod_spec["securityContext"]["runAsNonRoot"] is True
    assert pod_spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    assert all(set(volume) - {"name"} <= allowed for volume in pod_spec["volumes"])
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod_spec)
    assert "livenessProbe" not in container


def test_openshift_gives_the_ids_itself() -> None:
    pod = rendered(CASES["vllm"], Platform(image="i", fixed_ids=False))
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod["spec"]["securityContext"])


def test_gpus_are_requested_with_requests_equal_to_limits() -> None:
    member = "{vllm: {model: m}, pod: {gpu: {count: 2, resource: nvidia.com/mig-3g.20gb}}}"
    resources = rendered(member)["spec"]["containers"][0]["resources"]
    assert resources["requests"] == resources["limits"] == {"nvidia.com/mig-3g.20gb": "2"}


def test_the_same_product_is_asked_for_by_the_label_of_the_resource() -> None:
    member = "{vllm: {model: m}, pod: {gpu: {count: 1, resource: RESOURCE}}}"
    for resource, label in (
        ("nvidia.com/gpu.shared", "nvidia.com/gpu.product"),
        ("nvidia.com/mig-1g.5gb", "nvidia.com/mig-1g.5gb.product"),
        ("amd.com/gpu", "amd.com/gpu.product-name"),
    ):
        pod = rendered(member.replace("RESOURCE", resource), gpu_product="P")
        required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        (term,) = required["nodeSelectorTerms"]
        assert term["matchExpressions"] == [{"key": label, "operator": "In", "values": ["P"]}]


def test_an_engine_without_gpu_sees_none() -> None:
    env = rendered("{vllm: {model: m}, pod: {gpu: {count: 0}}}")["spec"]["containers"][0]["env"]
    assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"} in env


def test_the_users_variable_replaces_ours() -> None:
    member = '{vllm: {model: m}, pod: {env: [{name: VLLM_HTTP_TIMEOUT_KEEP_ALIVE, value: "60"}]}}'
    env = rendered(member)["spec"]["containers"][0]["env"]
    values = [e["value"] for e in env if e["name"] == "VLLM_HTTP_TIMEOUT_KEEP_ALIVE"]
    assert values == ["60"]


def test_kubelet_gives_up_only_after_the_operator() -> None:
    one = spec("[{name: a, vllm: {model: m}}]", timeouts={"startupSeconds": 100, "modelDownloadSeconds": 50})
    probe = engine_pod(one, one.targets[0], PLATFORM)["spec"]["containers"][0]["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] > 150


def test_node_bond_without_affinity_of_the_user() -> None:
    required = rendered("vllm: {model: m}", node="gpu-1")["spec"]["affinity"]["nodeAffinity"]
    assert required == {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gpu-1"]}]}]
        }
    }


def test_bond_goes_into_every_alternative_of_the_user() -> None:
    member = """
        vllm: {model: m}
        pod:
          affinity:
            podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution:
              [{weight: 1, podAffinityTerm: {topologyKey: kubernetes.io/hostname}}]}
            nodeAffinity:
              requiredDuringSchedulingIgnoredDuringExecution:
                nodeSelectorTerms:
                - matchExpressions: [{key: zone, operator: In, values: [a]}]
                - matchExpressions: [{key: zone, operator: In, values: [b]}]
        """
    affinity = rendered(member, gpu_product="A100")["spec"]["affinity"]
    assert "podAntiAffinity" in affinity
    terms = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    bond = {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["A100"]}
    assert [term["matchExpressions"] for term in terms] == [
        [{"key": "zone", "operator": "In", "values": [zone]}, bond] for zone in "ab"
    ]


def test_text_of_the_user_stays_as_it_is() -> None:
    nasty = ['--a=\'"{{ x }}"', "--b=a: b # c", "--c=\u00e9\U0001f600\u2028\x7f\\ud83d", "--d=- *x &y !z", "--e=\t"]
    one = spec("[{name: a, vllm: {model: m}}]")
    engine = one.targets[0].vllm
    assert engine is not None
    said = one.targets[0].model_copy(update={"vllm": engine.model_copy(update={"args": nasty})})
    assert engine_pod(one, said, PLATFORM)["spec"]["containers"][0]["args"][-len(nasty) :] == nasty


def test_rendering_twice_gives_two_objects() -> None:
    first, second = rendered(CASES["ollama"]), rendered(CASES["ollama"])
    first["spec"]["containers"].clear()
    assert second["spec"]["containers"]
