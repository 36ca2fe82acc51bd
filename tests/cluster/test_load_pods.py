"""Several load pods: one leads, all carry their share, and one that is killed makes the point worth nothing."""

from tests.support.cluster import SUCCESS, Namespace, eventually, outcome
from tests.support.runs import benchmark, simulated

RESOURCES = {"requests": {"cpu": "400m", "memory": "64Mi"}}
SEVERAL = {"pods": 2, "processes": 2, "resources": RESOURCES}
FAIR = 0.3
"""The engine has a slot for each user: the throughput goes with their number, on a machine that has other work."""


def test_two_pods_of_two_processes(namespace: Namespace) -> None:
    engine = simulated(prefillMicrosecondsPerToken=100)  # prompts take no time of the batch that would not scale
    status = namespace.measure(benchmark("pods", engine, levels=(2, 8), seconds=5, loadGenerator=SEVERAL), within=180)
    assert outcome(status) == SUCCESS
    few, many = status["points"]
    for point in (few, many):
        assert point["requests"].get("errored", 0) == 0
        assert not {"LoadPodLost", "ClockUncertain", "ErrorRate"} & set(point.get("reasons", ())), point
    assert abs(many["requestsPerSecond"] / few["requestsPerSecond"] / 4 - 1) < FAIR, status["points"]
    assert [target["attempts"][-1]["number"] for target in status["targets"]] == [1]


def test_a_load_pod_that_is_killed_is_not_done_without(namespace: Namespace) -> None:
    """The target goes on in a new attempt, with two load pods again."""
    namespace.apply(benchmark("killed", levels=(4,), seconds=15, loadGenerator=SEVERAL))
    namespace.wait_status(
        "killed", lambda s: s.get("targets", [{}])[0].get("phase") == "Loading", within=120, what="a load point"
    )
    (follower,) = (pod for pod in namespace.pods("load") if index(pod) == "1")
    namespace.kubectl("delete", "pod", follower["metadata"]["name"], "--grace-period=0", "--force")
    status = namespace.wait_finished("killed", within=240)
    assert outcome(status) == SUCCESS
    first, second = status["targets"][0]["attempts"]
    assert first["reason"] in ("LoadPodLost", "LoadPodDeleted")
    assert second["reason"] == "Completed"
    eventually(lambda: not namespace.pods("load"), within=60, what="the end of all load pods")


def index(pod: dict[str, dict[str, dict[str, str]]]) -> str:
    return pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]
