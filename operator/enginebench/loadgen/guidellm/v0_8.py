"""GuideLLM 0.8.1.

- Its back end is not validated: it would ask for /health, which Ollama does not know; the engine has been verified.
- For chat it caps an answer by `max_completion_tokens` alone, which Ollama does not know: `max_tokens` goes into the
  extra body.
- It asks vLLM for usage with every event (`continuous_usage_stats`), which is other work for the server, and with
  known output lengths to ignore the end of sequence: both are taken out again where EngineBench would not ask so.
- The data file has whole messages, so that the body of a request is the one that EngineBench sends.
- `GUIDELLM__MAX_WORKER_PROCESSES` is what keeps its processes to its processors: ten are its default.
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

_ROUTES = {"ChatCompletions": "/v1/chat/completions", "Completions": "/v1/completions"}
MIB = 1024**2
BASE_BYTES, WORKER_BYTES, STREAM_BYTES = 1280 * MIB, 128 * MIB, MIB
"""`bench.guidellm_memory`: 930 MiB with one stream and one worker, 941 with 64, 1003 with two workers; and its report."""
_BY_THE_ROW = frozenset({"model", "stream", "messages", "prompt", "max_tokens"})
"""Members of a body that GuideLLM sets for each request."""


class _Timings(Lenient, frozen=True):
    targeted_start: float | None = None
    request_start: float | None = None
    first_token_iteration: float | None = None
    first_output_token_iteration: float | None = None
    last_token_iteration: float | None = None
    token_iterations: int = 0
    request_end: float | None = None
    resolve_end: float | None = None


class _Info(Lenient, frozen=True):
    timings: _Timings
    error: str | None = None


class _Request(Lenient, frozen=True):
    info: _Info
    prompt_tokens: int | None = None
    output_tokens: int | None = None


class V08:
    """Its command is `guidellm run`."""

    version = "0.8.1"

    def memory(self, users: int, cpus: float) -> int:
        return BASE_BYTES + workers(cpus) * WORKER_BYTES + users * STREAM_BYTES

    def refuses(self, job: Job, rows: Sequence[Row]) -> str:
        chat = job.plan.request.api == "ChatCompletions"
        caps = {min(row.output_tokens or job.most_tokens, job.most_tokens) for row in rows}
        if chat and job.plan.dialect == "ollama" and len(caps) > 1:
            return (
                "GuideLLM 0.8.1 caps each chat answer by max_completion_tokens alone, which Ollama does not know, and the "
                "rows of the data set ask for different lengths. Set spec.workload.request.api to Completions, give all "
                "rows one length (maxOutputTokens), or take EngineBench's own load generator"
            )
        return ""

    def row(self, job: Job, row: Row) -> JsonObject:
        said: JsonObject = {"output_tokens_count": min(row.output_tokens or job.most_tokens, job.most_tokens)}
        if job.plan.request.api == "Completions":
            said["prompt"] = row.prompt
        elif row.messages is not None:
            said["messages"] = [{"role": message.role, "content": message.content} for message in row.messages]
        else:
            said["messages"] = [{"role": "user", "content": row.prompt}]
        if row.prompt_tokens is not None:
            said["prompt_tokens_count"] = row.prompt_tokens
        return said

    def command(self, job: Job) -> list[str]:
        backend = {
            "kind": "openai_http",
            "target": job.plan.url,
            "model": job.plan.model,
            "request_format": _ROUTES[job.plan.request.api],
            "validate_backend": False,
            "extras": {"body": self._extra(job)},
        }
        point, ramp = job.point, float(job.plan.ramp_seconds)
        profile: JsonObject = {"kind": "concurrent", "streams": [point.concurrency or 1], "rampup_duration": ramp}
        if point.request_rate is not None:
            profile = {
                "kind": point.arrival.lower(),
                "rate": [point.request_rate],
                "max_concurrency": point.max_concurrency,
                "rampup_duration": ramp,
            }
        assert job.plan.guidellm is not None  # who else would ask
        return [
            *("guidellm", "run", "--disable-console"),
            *("--backend", json.dumps(backend), "--profile", json.dumps(profile)),
            *("--constraint", json.dumps({"kind": "max_duration", "seconds": round(job.seconds, 3)})),
            *("--data", json.dumps({"kind": "json_file", "path": str(job.rows)})),
            *("--output", json.dumps({"kind": "json", "path": str(job.report)})),
            *job.plan.guidellm.args,
        ]

    def _extra(self, job: Job) -> JsonObject:
        body = {name: value for name, value in job.body.items() if name not in _BY_THE_ROW}
        body.setdefault("ignore_eos", None)  # null is left out of what is sent
        options = body.get("stream_options")
        if isinstance(options, dict):
            body["stream_options"] = {"continuous_usage_stats": None, **options}
        if job.plan.dialect == "ollama" and job.plan.request.api == "ChatCompletions":
            body["max_tokens"] = job.most_tokens
        return body

    def body(self, job: Job) -> JsonObject:
        cap = "max_completion_tokens" if job.plan.request.api == "ChatCompletions" else "max_tokens"
        own = {"model": job.plan.model, "stream": True, cap: job.most_tokens}
        sent = {name: value for name, value in self._extra(job).items() if value is not None}
        options = {name: value for name, value in (sent.get("stream_options") or {}).items() if value is not None}
        return {**own, **sent, **({"stream_options": options} if options else {})}

    def environment(self, job: Job) -> dict[str, str]:
        return {**OFFLINE, "GUIDELLM__MAX_WORKER_PROCESSES": str(workers(job.cpus))}

    def read(self, text: bytes) -> Report:
        benchmark = msgspec.json.decode(text, type=Document[_Request]).only()
        found = [_request(one, outcome) for one, outcome in benchmark.requests.each()]
        return Report(requests=[one for one in found if one is not None], own=benchmark.metrics.own())


def workers(cpus: float) -> int:
    """Processes that send."""
    return max(1, round(cpus))


def _request(one: _Request, outcome: Outcome) -> Request | None:
    """None for one that was never sent."""
    times = one.info.timings
    ended = times.request_end or times.resolve_end
    if times.request_start is None or ended is None:
        return None
    finished = outcome == "succeeded"
    return Request(
        start=times.request_start,
        due=times.targeted_start,
        first=times.first_token_iteration,
        first_output=times.first_output_token_iteration,
        last=times.last_token_iteration,
        end=ended,
        outcome=outcome,
        output_tokens=one.output_tokens if finished else None,
        prompt_tokens=one.prompt_tokens if finished else None,
        events=times.token_iterations,
        error=(one.info.error or "") if outcome == "errored" else "",
    )
