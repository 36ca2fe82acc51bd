"""Each version's command line and report: what is asked of it, and what its own reports come to."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from enginebench.api.loadplan import GuideLlmPlan, Message, PointPlan, RequestPlan, Row
from enginebench.loadgen.guidellm.adapter import Adapter, Job
from enginebench.loadgen.guidellm.point import ADAPTERS
from enginebench.loadgen.routes import ROUTES
from tests.unit.loadgen.plans import plan

REPORTS = Path(__file__).resolve().parents[3] / "fixtures" / "guidellm"
V02, V08 = ADAPTERS["0.2.1"], ADAPTERS["0.8.1"]
BOTH = pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)


def job(adapter: Adapter, *, api: Any = "ChatCompletions", point: PointPlan | None = None, **changes: Any) -> Job:
    settings = {"request": RequestPlan(api=api, max_output_tokens=64), "ramp_seconds": 2, **changes}
    version: Any = adapter.version
    of = plan("http://engine:8000", api=api, guidellm=GuideLlmPlan(version=version, args=("--more", "x")), **settings)
    return Job(
        plan=of,
        point=point or PointPlan(index=0, concurrency=16),
        body=ROUTES[api].body(of, Row(prompt=""), 64),
        most_tokens=64,
        seconds=12.5,
        cpus=3.6,
        rows=Path("/exchange/rows.jsonl"),
        report=Path("/exchange/report.json"),
    )


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


@BOTH
def test_the_report_becomes_requests(adapter: Adapter) -> None:
    report = adapter.read((REPORTS / f"{adapter.version}.json").read_bytes())
    assert [request.outcome for request in report.requests] == ["succeeded", "succeeded", "open"]
    for request in report.requests[:2]:
        assert request.first is not None
        assert request.last is not None
        assert request.start < request.first < request.last <= request.end
        assert 0.04 < request.first - request.start < 0.3
        assert (request.last - request.first) / 63 == pytest.approx(0.011, abs=0.002), "11 to 12 ms a token"
        assert (request.output_tokens, request.prompt_tokens) == (64, 44)
        assert request.due is not None
    cut_off = report.requests[2]
    assert cut_off.output_tokens is None, "what it was asked for is not what came"
    assert cut_off.error == ""


@BOTH
def test_its_own_figures_are_means_of_rates(adapter: Adapter) -> None:
    text = (REPORTS / f"{adapter.version}.json").read_bytes()
    metrics, own = json.loads(text)["benchmarks"][0]["metrics"], adapter.read(text).own
    assert own.requests_per_second == metrics["requests_per_second"]["successful"]["mean"] > 4
    assert own.output_tokens_per_second == metrics["output_tokens_per_second"]["successful"]["mean"] > 250
    assert own.ttft["p99"] == metrics["time_to_first_token_ms"]["successful"]["percentiles"]["p99"]
    assert own.ttft["p50"] == metrics["time_to_first_token_ms"]["successful"]["median"]
    assert own.itl["mean"] == metrics["inter_token_latency_ms"]["successful"]["mean"]


@BOTH
@pytest.mark.parametrize("text", [b"", b"[]", b'{"benchmarks": []}', b'{"benchmarks": [{}]}'])
def test_what_is_no_report_is_refused(adapter: Adapter, text: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, ValueError)):
        adapter.read(text)


def test_0_8_leaves_out_what_it_never_sent() -> None:
    document = json.loads((REPORTS / "0.8.1.json").read_text())
    requests = document["benchmarks"][0]["requests"]
    requests["incomplete"][0]["info"]["timings"]["request_start"] = None
    assert len(V08.read(json.dumps(document).encode()).requests) == 2


def test_the_command_of_0_2() -> None:
    """`--rate 16` without its `.0` raises on Python 3.11."""
    command = V02.command(job(V02))
    assert command[:2] == ["guidellm", "benchmark"]
    assert option(command, "--rate-type") == "concurrent"
    assert option(command, "--rate") == "16.0"
    assert option(command, "--max-seconds") == "12.500"
    assert json.loads(option(command, "--backend-args"))["timeout"] > 86400, "300 s is its own"
    assert option(command, "--data") == "/exchange/rows.jsonl"
    assert command[-2:] == ["--more", "x"]
    assert V02.environment(job(V02))["GUIDELLM__PREFERRED_ROUTE"] == "chat_completions"
    assert V02.environment(job(V02, api="Completions"))["GUIDELLM__PREFERRED_ROUTE"] == "text_completions"


def test_the_command_of_0_8() -> None:
    command = V08.command(job(V08))
    assert command[:2] == ["guidellm", "run"]
    assert json.loads(option(command, "--profile")) == {"kind": "concurrent", "streams": [16], "rampup_duration": 2.0}
    assert json.loads(option(command, "--constraint")) == {"kind": "max_duration", "seconds": 12.5}
    backend = json.loads(option(command, "--backend"))
    assert backend["validate_backend"] is False, "Ollama has no /health"
    assert backend["request_format"] == "/v1/chat/completions"
    assert command[-2:] == ["--more", "x"]
    assert V08.environment(job(V08))["GUIDELLM__MAX_WORKER_PROCESSES"] == "4"


def test_0_8_by_request_rate() -> None:
    point = PointPlan(index=0, request_rate=2.5, arrival="Constant", max_concurrency=99)
    command = V08.command(job(V08, point=point))
    assert json.loads(option(command, "--profile")) == {
        "kind": "constant",
        "rate": [2.5],
        "max_concurrency": 99,
        "rampup_duration": 2.0,
    }


def test_0_8_sends_what_we_send() -> None:
    """It adds nulls, which it leaves out again, where it would say more than EngineBench does."""
    extra = json.loads(option(V08.command(job(V08)), "--backend"))["extras"]["body"]
    assert extra == {
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
        "repetition_penalty": 1.0,
        "ignore_eos": None,
        "stream_options": {"continuous_usage_stats": None, "include_usage": True},
    }
    published = job(V08, request=RequestPlan(max_output_tokens=64, ignore_eos=True))
    assert json.loads(option(V08.command(published), "--backend"))["extras"]["body"]["ignore_eos"] is True
    assert V08.body(job(V08)) == {
        "model": "tiny",
        "stream": True,
        "max_completion_tokens": 64,
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
        "repetition_penalty": 1.0,
        "stream_options": {"include_usage": True},
    }


def test_ollama_is_told_the_cap_by_the_name_that_it_knows() -> None:
    extra = json.loads(option(V08.command(job(V08, dialect="ollama")), "--backend"))["extras"]["body"]
    assert extra["max_tokens"] == 64


def test_0_8_cannot_cap_chats_of_ollama_one_by_one() -> None:
    short, long = Row(prompt="a", output_tokens=8), Row(prompt="b", output_tokens=64)
    assert "Completions" in V08.refuses(job(V08, dialect="ollama"), [short, long])
    assert not V08.refuses(job(V08, dialect="ollama"), [short, short])
    assert not V08.refuses(job(V08, dialect="ollama", api="Completions"), [short, long])
    assert not V08.refuses(job(V08), [short, long])


def test_0_2_sends_one_prompt() -> None:
    chat = Row(messages=(Message(role="user", content="hello"),))
    assert "messages" in V02.refuses(job(V02), [Row(prompt="a"), chat])
    assert not V02.refuses(job(V02), [Row(prompt="a")])


def test_a_row_goes_with_its_known_counts() -> None:
    row = Row(prompt="say", prompt_tokens=3, output_tokens=500)
    assert V02.row(job(V02), row) == {"prompt": "say", "prompt_tokens": 3, "output_tokens": 64}
    assert V08.row(job(V08, api="Completions"), row) == {
        "prompt": "say",
        "prompt_tokens_count": 3,
        "output_tokens_count": 64,
    }
    assert V08.row(job(V08), row)["messages"] == [{"role": "user", "content": "say"}]
    chat = Row(messages=(Message(role="system", content="be brief"), Message(role="user", content="hello")))
    assert V08.row(job(V08), chat)["messages"][0] == {"role": "system", "content": "be brief"}


def test_0_2_takes_memory_for_each_stream() -> None:
    """A process a stream: 1.8 GiB with 128 of them, as measured."""
    assert 1.7 * 2**30 < V02.memory(128, cpus=4) < 2.3 * 2**30
    assert V02.memory(256, cpus=1) > 3.3 * 2**30
    assert V08.memory(256, cpus=1) - V08.memory(1, cpus=1) < 2**29
