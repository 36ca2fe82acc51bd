"""Whole runs that succeed: the demo as its program shows it, vLLM's pod, data sets, routes and endpoints."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from demo.shows import NAMESPACE, REHEARSAL
from enginebench.cluster import payload
from tests.cluster.conftest import ROOT, check_nothing_left, create_namespace
from tests.support.cluster import MEASURINGS, ROLE, SUCCESS, Cluster, Namespace, eventually, held_up, outcome
from tests.support.endpoints import CA_REF, TOKEN, TOKEN_REF, URL, secured_server, simulated_server
from tests.support.runs import benchmark, simulated

EXAMPLES = ROOT / "examples"
TARGETS = ["vllm-sim", "ollama-default-sim", "ollama-tuned-sim"]
LEVELS = [1, 2, 4, 8, 16, 32, 64]
FIGURES = ("ttftMilliseconds", "itlMilliseconds", "tpotMilliseconds", "requestLatencyMilliseconds")


def engines_alive(pods: Iterable[dict[str, Any]]) -> list[str]:
    """Engine pods that hold a GPU, the terminating ones too."""
    engines = (pod for pod in pods if pod["metadata"]["labels"].get(ROLE) == "engine")
    return [pod["metadata"]["name"] for pod in engines if pod["status"]["phase"] not in ("Succeeded", "Failed")]


def watch_to_the_end(namespace: Namespace, run: str, *, within: float) -> dict[str, Any]:
    """The status at the end; on the way never two engines at once, and progress that only grows.

    One call a second, and no more: kubectl takes processor time of what is measured.
    """
    done: list[int] = []

    def look() -> dict[str, Any] | None:
        kinds: dict[str, list[dict[str, Any]]] = {"Pod": [], "BenchmarkRun": []}
        for item in namespace.cluster.get("pods,bmr", f"--namespace={namespace.name}")["items"]:
            kinds[item["kind"]].append(item)
        assert len(alive := engines_alive(kinds["Pod"])) <= 1, f"two engines at once: {alive}"
        status: dict[str, Any] = next(one for one in kinds["BenchmarkRun"] if one["metadata"]["name"] == run).get(
            "status", {}
        )
        done.append(status.get("progress", {}).get("pointsDone", 0))
        return status if status.get("completionTime") else None

    status = eventually(look, within=within, what=f"the end of {run}", every=1.0)
    assert all(earlier <= later for earlier, later in pairwise(done)), done
    assert len(set(done)) > 2, "points must be in the status as they are measured, not all at the end"
    return status


def points(status: dict[str, Any], target: str) -> dict[int, dict[str, Any]]:
    """Concurrency → point."""
    return {p["load"]["concurrency"]: p for p in status["points"] if p["target"] == target}


def check_points(status: dict[str, Any], targets: list[str], levels: list[int]) -> None:
    """Each point once, with every figure, and with results that can be fetched."""
    assert [(p["target"], p["load"]["concurrency"]) for p in status["points"]] == [
        (target, level) for target in targets for level in levels
    ]
    for point in status["points"]:
        assert point["validity"] in ("Valid", "Limited"), point
        assert point["requests"]["succeeded"] > 0
        assert point["requests"].get("errored", 0) == 0
        assert point["requestsPerSecond"] > 0
        assert point["outputTokensPerSecond"] > 0
        for figure in FIGURES:
            values = point[figure]
            assert values["count"] > 0
            numbers = [
                v if isinstance(v, int | float) else v["atLeast"] for v in (values[p] for p in ("p50", "p90", "p99"))
            ]
            assert 0 < numbers[0] <= numbers[1] <= numbers[2], (figure, values)


@pytest.fixture
def showroom(cluster: Cluster, kinds: str) -> Iterator[Namespace]:
    """The demo's own namespace, without the run of an earlier demo; gone afterwards."""
    own = create_namespace(cluster, NAMESPACE, kinds)
    own.ours.add(f"benchmarkrun.enginebench.dev/{REHEARSAL.run}")
    yield own
    if "KEEP_NAMESPACES" not in os.environ:
        check_nothing_left(own)
        cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s", timeout=150)


def demonstrated(namespace: Namespace, log: Path) -> str:
    """What `python -m demo` says, as on a machine whose cluster is up, where it writes to no terminal; the run is
    watched beside it."""

    def applied() -> str:
        assert demo.poll() is None, log.read_text()
        return namespace.kubectl("get", "bmr", REHEARSAL.run, "--ignore-not-found", "--output=name")

    with (
        log.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-m", "demo"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        ) as demo,
    ):
        try:
            eventually(applied, within=180, what="the demo's run applied")
            watch_to_the_end(namespace, REHEARSAL.run, within=360)
            assert demo.wait(timeout=60) == 0, log.read_text()
        finally:
            demo.kill()
    return log.read_text("utf-8")


def tabled(said: str, target: str) -> list[int]:
    """The loads of a target's rows in the table at the demo's end; each row has RPS and TPS."""
    table = said.rpartition(f"{REHEARSAL.run}: {REHEARSAL.title}\n")[2]
    mine = table.partition(f"\n{target}  SIMULATED  Succeeded\n")[2].partition("\n\n")[0]
    return [int(load) for load in re.findall(r"^ *(\d+) +[\d.]+ +[\d.]+ ", mine, re.MULTILINE)]


def test_the_demo(showroom: Namespace, tmp_path: Path) -> None:
    """Its program as a user runs it: three simulated engines queue for the one GPU, and a table compares them."""
    namespace, name = showroom, REHEARSAL.run
    for left in reversed(range(MEASURINGS)):
        said = demonstrated(namespace, tmp_path / "said")
        status = namespace.status(name)
        if not left or not held_up(status):
            break
        namespace.kubectl("delete", "bmr", name)
    assert {target: tabled(said, target) for target in TARGETS} == dict.fromkeys(TARGETS, LEVELS), said
    assert status["summary"]["text"] in " ".join(said.split())
    assert "make cluster-down     # when you are done" in said
    assert status["phase"] == "Completed"
    assert outcome(status) == SUCCESS
    check_points(status, TARGETS, LEVELS)
    assert status["progress"] == {
        "targetsDone": 3,
        "targetsTotal": 3,
        "pointsDone": 21,
        "pointsTotal": 21,
        "percent": 100,
    }
    for target in status["targets"]:
        assert target["phase"] == "Succeeded"
        assert target["simulated"] is True
        assert target["engine"]["gpu"]["count"] == 1
        assert target["engine"]["node"] == status["placement"]["node"]
    slow, fast = points(status, "ollama-default-sim"), points(status, "vllm-sim")
    assert slow[16]["outputTokensPerSecond"] < 1.3 * slow[4]["outputTokensPerSecond"], "four slots carry no more"
    assert fast[16]["outputTokensPerSecond"] > 2 * slow[16]["outputTokensPerSecond"]
    assert slow[16]["ttftMilliseconds"]["p50"] > 3 * fast[16]["ttftMilliseconds"]["p50"], "the others wait"
    assert slow[1]["itlMilliseconds"]["p50"] == pytest.approx(9.5, rel=0.25), "8 ms a step and 1.5 ms a request"
    assert status["summary"]["target"] == "vllm-sim"
    assert status["summary"]["simulated"] is True
    assert "vllm-sim (SIMULATED)" in namespace.kubectl("get", "bmr", name)
    wide = namespace.kubectl("get", "bmr", name, "--output=wide").splitlines()
    assert wide[0].split()[:2] == ["NAME", "PHASE"]
    assert "Completed" in wide[1]
    events = namespace.kubectl("get", "events", f"--field-selector=involvedObject.name={name}")
    assert "Completed" in events or "Succeeded" in events, events


def export(namespace: Namespace, run: str, *options: str) -> str:
    """What `enginebench export` writes, with the kubeconfig of the cluster."""
    return subprocess.run(
        [sys.executable, "-m", "enginebench", "export", run, "--namespace", namespace.name, *options],
        env={**os.environ, "KUBECONFIG": str(namespace.cluster.kubeconfig)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_results_can_be_fetched_and_are_what_the_status_says(namespace: Namespace) -> None:
    status = namespace.measure(benchmark("run", levels=[1, 2]))
    assert outcome(status) == SUCCESS
    named, selector = [ref["configMap"] for ref in status["results"]["data"]], status["results"]["selector"]
    kept = namespace.cluster.get("configmaps", f"--namespace={namespace.name}", f"--selector={selector}")["items"]
    assert sorted(named) == sorted(found["metadata"]["name"] for found in kept)
    assert [found["immutable"] for found in kept] == [True, True]
    reports = [received.report for received in map(payload.unpacked, kept) if received is not None]
    measured = {report.concurrency: report for report in reports}
    for point in status["points"]:
        report = measured[point["load"]["concurrency"]]
        assert point["requests"]["succeeded"] == report.requests.succeeded
        assert point["requestsPerSecond"] == pytest.approx(report.requests_per_second, rel=1e-3)
        assert report.histograms.keys() >= {"ttft", "itl"}
    exported = json.loads(export(namespace, "run"))
    assert exported["run"]["status"]["points"] == status["points"]
    assert [point["report"]["concurrency"] for point in exported["points"]] == [1, 2]
    table = list(csv.DictReader(export(namespace, "run", "--format", "csv").splitlines()))
    assert [float(row["requests_per_second"]) for row in table] == [
        point["report"]["requestsPerSecond"] for point in exported["points"]
    ]
    namespace.kubectl("delete", "bmr", "run")
    eventually(lambda: not namespace.objects() - namespace.ours, within=60, what="the results gone with the run")


def test_the_load_generator_says_what_it_carries(namespace: Namespace) -> None:
    run = benchmark("run", levels=[2])
    run["spec"]["loadGenerator"] = {"calibrate": True}
    status = namespace.measure(run)
    assert outcome(status) == SUCCESS
    [target] = status["targets"]
    assert target["loadGenerator"]["tokensPerSecond"] > 1000
    [point] = json.loads(export(namespace, "run"))["points"]
    evidence = point["report"]["evidence"]
    carried = target["loadGenerator"]["tokensPerSecond"]
    assert evidence["generatorLimitTokensPerSecond"] == pytest.approx(carried, rel=1e-3)


def test_one_failed_target_does_not_stop_the_next(namespace: Namespace) -> None:
    broken = {
        "name": "broken",
        "vllm": {"model": "tiny", "image": namespace.cluster.image, "args": ["--surely-unknown"]},
        "pod": {"gpu": {"count": 0}},
    }
    status = namespace.measure(benchmark("run", broken, simulated("good-sim"), levels=[1]))
    assert outcome(status) == SUCCESS | {"Succeeded": "False", "Stalled": "True"}
    assert [t["phase"] for t in status["targets"]] == ["Failed", "Succeeded"]
    assert "broken" in status["message"]
    assert [p["target"] for p in status["points"]] == ["good-sim"]


def test_an_image_that_starts_like_vllm(namespace: Namespace, vllm_image: str) -> None:
    """vLLM's own Pod: root image, our user, its options, a token from a Secret, a GPU, a model cache."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hf-token"}, "stringData": {"token": "hf_x"}}
    vllm = {"model": "org/tiny", "image": vllm_image, "tokenSecretRef": {"name": "hf-token", "key": "token"}}
    pod = {"gpu": {"count": 1}, "modelCache": {"emptyDir": {"sizeLimit": "1Gi"}}}
    namespace.apply(secret)
    status = namespace.measure(benchmark("run", {"name": "vllm", "vllm": vllm, "pod": pod}, levels=[1, 4]))
    assert outcome(status) == SUCCESS
    check_points(status, ["vllm"], [1, 4])
    engine = status["targets"][0]["engine"]
    assert engine["servedModel"] == "org/tiny"
    assert engine["gpu"]["count"] == 1
    assert engine["imageID"]
    worker = namespace.cluster.get("node", engine["node"])["metadata"]["labels"]
    assert engine["gpu"]["product"] == worker["nvidia.com/gpu.product"]


def test_a_data_set_from_a_config_map(namespace: Namespace) -> None:
    rows = "\n".join(f'{{"prompt": "Question {i}?", "output_tokens_count": {4 + i}}}' for i in range(5))
    dataset = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prompts"}, "data": {"rows.jsonl": rows}}
    source = {"configMap": {"name": "prompts", "key": "rows.jsonl"}}
    namespace.apply(dataset)
    status = namespace.measure(benchmark("run", levels=[2], workload={"dataset": source}))
    assert outcome(status) == SUCCESS
    assert status["resolved"]["dataset"]["rows"] == 5
    assert status["resolved"]["dataset"]["digest"].startswith("sha256:")


def test_each_route(namespace: Namespace) -> None:
    """Every API that a request can take, one after another: together they would hold each other's clients up."""
    routes = {"chatcompletions": "vLLM", "completions": "vLLM", "ollamachat": "Ollama", "ollamagenerate": "Ollama"}
    names = {"chatcompletions": "ChatCompletions", "completions": "Completions"}
    names |= {"ollamachat": "OllamaChat", "ollamagenerate": "OllamaGenerate"}
    for run, dialect in routes.items():
        request = {"api": names[run], "maxOutputTokens": 16}
        status = namespace.measure(
            benchmark(run, simulated(api=dialect), levels=[4], workload={"request": request}), within=180
        )
        assert outcome(status) == SUCCESS, run
        check_points(status, ["engine-sim"], [4])


def test_an_endpoint_that_stands_already(namespace: Namespace, cluster: Cluster) -> None:
    target = {"name": "mine", "endpoint": {"url": URL, "model": "served"}}
    namespace.apply(*simulated_server(cluster.image, "served"))
    status = namespace.measure(benchmark("run", target, levels=[2]))
    assert outcome(status) == SUCCESS
    check_points(status, ["mine"], [2])
    assert namespace.pods("engine") == []


def test_an_endpoint_over_tls_and_behind_a_token(namespace: Namespace, cluster: Cluster) -> None:
    host = f"server.{namespace.name}.svc"
    endpoint = {
        "url": f"https://{host}:8000",
        "model": "served",
        "tokenSecretRef": TOKEN_REF,
        "tls": {"caConfigMapRef": CA_REF},
    }
    run = benchmark("run", {"name": "mine", "endpoint": endpoint}, levels=[2])
    namespace.apply(*secured_server(cluster.image, "served", host), run)
    log = namespace.kubectl("logs", "--follow", namespace.a_pod("load"))
    status = namespace.wait_finished("run")
    assert outcome(status) == SUCCESS
    check_points(status, ["mine"], [2])
    assert status["targets"][0]["engine"]["effective"]["certificate"] == "verified"
    kinds = "benchmarkruns,configmaps,jobs,pods,events"
    assert TOKEN not in namespace.kubectl("get", kinds, "--output=yaml")
    assert "EB1 " in log
    assert TOKEN not in log
