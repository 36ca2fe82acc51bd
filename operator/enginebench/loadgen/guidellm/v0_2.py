"""GuideLLM 0.2.1: the version that the published comparison used.

- One process a stream in a closed loop: see `STREAM_BYTES`.
- `--rate 16` raises on Python 3.11 (an integer rate is no float to it): `16.0`.
- A request is given up after 300 s unless the back end is told another time.
- It sends no sampling settings and no body of the user's; with known output lengths it tells every engine to ignore
  the end of sequence. `spec` refuses what that makes impossible.
- Its TTFT has some milliseconds of its own, also at rest: told in docs/guidellm.md, and not corrected.
- Of a request that its end cut off it forgets when the first token came.
"""

import json
from collections.abc import Sequence

import msgspec

from enginebench.api.loadplan import Row
from enginebench.loadgen.guidellm.adapter import (
    OFFLINE,
    Document,
    Job,
    JsonObject,
    Lenient,
    Outcome,
    Report,
    Request,
)

MIB = 1024**2
BASE_BYTES, STREAM_BYTES = 320 * MIB, 14 * MIB
"""`bench.guidellm_memory`: 201 MiB with one stream, 589 with 32, 985 with 64, 1793 with 128; some room above that."""
REQUEST_SECONDS = 7 * 86400
"""No request is given up while its point lasts."""
_ROUTES = {"ChatCompletions": "chat_completions", "Completions": "text_completions"}


class _Scheduled(Lenient, frozen=True):
    targeted_start_time: float = 0.0


class _Request(Lenient, frozen=True):
    start_time: float
    end_time: float
    first_token_time: float | None = None
    last_token_time: float | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    error: str = ""
    scheduler_info: _Scheduled = _Scheduled()


class V02:
    """Its command is `guidellm benchmark`."""

    version = "0.2.1"

    def memory(self, users: int, cpus: float) -> int:  # noqa: ARG002  # Adapter's signature
        return BASE_BYTES + users * STREAM_BYTES

    def refuses(self, job: Job, rows: Sequence[Row]) -> str:  # noqa: ARG002  # Adapter's signature
        if any(row.messages is not None for row in rows):
            return (
                "GuideLLM 0.2.1 sends a prompt as one message of the user: the data set has rows with messages. Take "
                "0.8.1, or EngineBench's own load generator"
            )
        return ""

    def row(self, job: Job, row: Row) -> JsonObject:
        most = min(row.output_tokens or job.most_tokens, job.most_tokens)
        known = {"prompt_tokens": row.prompt_tokens} if row.prompt_tokens is not None else {}
        return {"prompt": row.prompt, "output_tokens": most, **known}

    def command(self, job: Job) -> list[str]:
        assert job.plan.guidellm is not None  # who else would ask
        backend = {"max_output_tokens": job.most_tokens, "timeout": REQUEST_SECONDS}
        return [
            *("guidellm", "benchmark", "--target", job.plan.url, "--model", job.plan.model),
            *("--backend-args", json.dumps(backend)),
            *("--rate-type", "concurrent", "--rate", str(float(job.point.concurrency or 1))),
            *("--max-seconds", f"{job.seconds:.3f}"),
            *("--data", str(job.rows), "--data-args", '{"split": "train"}'),
            *("--disable-progress", "--disable-console-outputs", "--output-path", str(job.report)),
            *job.plan.guidellm.args,
        ]

    def body(self, job: Job) -> JsonObject:
        return {
            "model": job.plan.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": job.most_tokens,
            "max_completion_tokens": job.most_tokens,
            "stop": None,
            "ignore_eos": True,
        }

    def environment(self, job: Job) -> dict[str, str]:
        return {**OFFLINE, "GUIDELLM__PREFERRED_ROUTE": _ROUTES[job.plan.request.api]}

    def read(self, text: bytes) -> Report:
        benchmark = msgspec.json.decode(text, type=Document[_Request]).only()
        found = [_request(one, outcome) for one, outcome in benchmark.requests.each()]
        return Report(requests=found, own=benchmark.metrics.own())


def _request(one: _Request, outcome: Outcome) -> Request:
    """-1 stands for a time that is not known. Token counts of what was not finished are those asked for."""
    finished = outcome == "succeeded"
    first, last = (
        (when if when is not None and when > 0 else None) for when in (one.first_token_time, one.last_token_time)
    )
    return Request(
        start=one.start_time,
        due=one.scheduler_info.targeted_start_time or None,
        first=first,
        last=last,
        end=one.end_time,
        outcome=outcome,
        output_tokens=one.output_tokens if finished else None,
        prompt_tokens=one.prompt_tokens or None if finished else None,
        error=one.error if outcome == "errored" else "",
    )
