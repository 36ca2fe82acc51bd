"""How a data set comes into the load pods."""

import json
from dataclasses import replace

from enginebench.api.loadplan import DatasetPlan, DownloadPlan
from enginebench.cluster import children
from enginebench.workflow.observed import Role
from enginebench.workflow.plan import Create
from tests.unit.cluster.made import PLATFORM, made, plan, seen


def test_inline_rows_go_into_the_plan() -> None:
    text = """
        workload:
          dataset: {inline: {rows: [{prompt: p, promptTokens: 3}, {messages: [{role: user, content: c}], outputTokens: 5}]},
                    promptReuse: {shared: {prefixTokens: 9}}}
          load: {concurrency: {levels: [1]}}
          maxRequests: 4
        """
    made_plan = plan(text)
    rows = made_plan.dataset.rows
    assert rows is not None
    assert (rows[0].prompt, rows[0].prompt_tokens, rows[1].output_tokens) == ("p", 3, 5)
    assert rows[1].messages is not None
    assert rows[1].messages[0].content == "c"
    assert (made_plan.prompt_reuse, made_plan.shared_prefix_tokens) == ("Shared", 9)


CONFIG_MAP = """
    workload:
      dataset: {configMap: {name: prompts, key: p.jsonl}}
      load: {concurrency: {levels: [1]}}
      durationSeconds: 4
    """


def test_data_set_in_a_config_map_is_mounted() -> None:
    assert plan(CONFIG_MAP).dataset.file == "/etc/enginebench-dataset/p.jsonl"
    pod = made(Role.LOAD, CONFIG_MAP)["spec"]["template"]["spec"]
    volume = next(v for v in pod["volumes"] if v["name"] == "dataset")
    assert volume["configMap"] == {"name": "prompts", "items": [{"key": "p.jsonl", "path": "p.jsonl"}]}
    assert {"name": "dataset", "mountPath": "/etc/enginebench-dataset", "readOnly": True} in pod["containers"][0][
        "volumeMounts"
    ]


CLAIM = CONFIG_MAP.replace(
    "configMap: {name: prompts, key: p.jsonl}", "persistentVolumeClaim: {claimName: c, path: a/p}"
)
URL = CONFIG_MAP.replace(
    "configMap: {name: prompts, key: p.jsonl}",
    f"url: {{url: 'https://h/p.json?key=x', sha256: '{'0' * 64}'}}, format: ShareGPT, seed: 7",
)


def test_data_set_on_a_claim_is_mounted_in_load_pods_alone_and_never_written_to() -> None:
    assert plan(CLAIM).dataset == DatasetPlan(
        file="/etc/enginebench-dataset/a/p", source="PersistentVolumeClaim c, path a/p"
    )
    for target in ("", "a-sim"):
        pod = made(Role.LOAD, CLAIM, target=target)["spec"]["template"]["spec"]
        volume = next(v for v in pod["volumes"] if v["name"] == "dataset")
        assert volume["persistentVolumeClaim"] == {"claimName": "c", "readOnly": True}
        assert {"name": "dataset", "mountPath": "/etc/enginebench-dataset", "readOnly": True} in pod["containers"][0][
            "volumeMounts"
        ]
    assert "persistentVolumeClaim" not in json.dumps(made(Role.ENGINE, CLAIM))


def test_data_set_at_a_url_is_downloaded_by_the_way_that_the_operator_knows() -> None:
    made_plan = plan(URL)
    assert made_plan.dataset == DatasetPlan(
        download=DownloadPlan(url="https://h/p.json?key=x", sha256="0" * 64),
        format="ShareGPT",
        source="https://h/p.json",
    )
    assert made_plan.seed == 7
    platform = replace(PLATFORM, proxy={"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".svc"})
    for text, more in ((URL, platform.proxy), (CONFIG_MAP, {})):
        job = children.child(seen(text), Create(role=Role.LOAD, target="a-sim", attempt=1), platform)
        env = job["spec"]["template"]["spec"]["containers"][0]["env"]
        assert {e["name"]: e["value"] for e in env if "value" in e} == more


def test_the_order_of_the_rows_is_not_the_samplers_matter() -> None:
    text = CONFIG_MAP.replace("durationSeconds: 4", "durationSeconds: 4\n      request: {sampling: {seed: 5}}")
    assert (plan(text).seed, plan(text).request.sampling.seed) == (0, 5)


def test_prepare_reads_the_data_set_and_touches_no_engine() -> None:
    made_plan = plan(CONFIG_MAP, target="")
    assert (made_plan.task, made_plan.url, made_plan.points) == ("prepare", "", ())
    assert made(Role.LOAD, CONFIG_MAP, target="")["metadata"]["name"].startswith("r-run-l1-")
