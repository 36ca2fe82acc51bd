"""The smoke test's pods and its judgement."""

import yaml

from devcluster import smoke


def test_one_restricted_pod_on_every_node_behind_one_service() -> None:
    space, service, *pods = yaml.safe_load_all(smoke.manifests("ns", ["cp", "worker"], "image:1"))
    assert space["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert [pod["spec"]["nodeSelector"]["kubernetes.io/hostname"] for pod in pods] == ["cp", "worker"]
    for pod in pods:
        assert pod["metadata"]["labels"].items() >= service["spec"]["selector"].items()
        assert pod["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"


def test_a_round_is_good_when_all_were_answered_and_all_answered() -> None:
    servers = ["web-0", "web-1"]
    assert smoke.judge_round("web-0\nweb-1\n" * 10, servers) == ""
    assert smoke.judge_round("web-0\n" * 20, servers) == "no answer came from web-1"
    assert smoke.judge_round("web-0\nweb-1\n" * 9, servers) == "only 18 of 20 requests were answered"
    assert smoke.judge_round("", servers) == "only 0 of 20 requests were answered"
