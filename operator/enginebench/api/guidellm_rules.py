"""What GuideLLM cannot do of a run: rules of the spec, refused where any target is loaded by it."""

from collections.abc import Iterator
from typing import Any

from enginebench.api.engines import Target
from enginebench.api.generators import GuideLlm
from enginebench.api.rules import Rule

_RUNS = "(has(self.loadGenerator) && has(self.loadGenerator.guidellm))"
ANY = f"self.targets.exists(t, has(t.loadGenerator) ? has(t.loadGenerator.guidellm) : {_RUNS})"
"""CEL: a target is loaded by GuideLLM."""
OLD = (
    "self.targets.exists(t, has(t.loadGenerator) ? "
    "has(t.loadGenerator.guidellm) && t.loadGenerator.guidellm.version == '0.2.1' : "
    f"{_RUNS} && self.loadGenerator.guidellm.version == '0.2.1')"
)
"""CEL: a target is loaded by GuideLLM 0.2.1."""


def guidellm_of(spec: Any, target: Target) -> GuideLlm | None:
    """GuideLLM's settings for a target of the spec; None: EngineBench's own load generator."""
    if target.load_generator is not None:
        return target.load_generator.guidellm
    return spec.load_generator.guidellm if spec.load_generator is not None else None


def _versions(spec: Any) -> Iterator[str]:
    return (said.version for target in spec.targets if (said := guidellm_of(spec, target)) is not None)


def any_guidellm(spec: Any) -> bool:
    """A target is loaded by GuideLLM."""
    return any(_versions(spec))


def _old(spec: Any) -> bool:
    return "0.2.1" in _versions(spec)


def _plain_endpoint(spec: Any, target: Target) -> bool:
    """Not one that GuideLLM has no safe way to."""
    endpoint = target.endpoint if guidellm_of(spec, target) is not None else None
    return endpoint is None or (
        (endpoint.url is None or endpoint.url.startswith("http://"))
        and endpoint.token_secret_ref is None
        and endpoint.tls is None
    )


GUIDELLM_RULES = (
    Rule(
        sentence="is for EngineBench's own load generator, and a target is loaded by GuideLLM, which makes its own "
        "processes in one pod: remove pods, processes and calibrate; resources says how much CPU it has",
        cel=f"!has(self.loadGenerator) || !({ANY}) || ((!has(self.loadGenerator.pods) || self.loadGenerator.pods == 1) && "
        "(!has(self.loadGenerator.processes) || self.loadGenerator.processes == 1) && "
        "(!has(self.loadGenerator.calibrate) || !self.loadGenerator.calibrate))",
        holds=lambda self: (
            self.load_generator is None
            or not any_guidellm(self)
            or (
                self.load_generator.pods == 1
                and self.load_generator.processes == 1
                and not self.load_generator.calibrate
            )
        ),
        field=".loadGenerator",
    ),
    Rule(
        sentence="is OllamaChat or OllamaGenerate, and a target is loaded by GuideLLM, which knows OpenAI's routes alone: "
        "use ChatCompletions or Completions, or loadGenerator.native",
        cel=f"!has(self.workload.request) || !(self.workload.request.api in ['OllamaChat', 'OllamaGenerate']) || !({ANY})",
        holds=lambda self: (
            self.workload.request is None
            or self.workload.request.api not in ("OllamaChat", "OllamaGenerate")
            or not any_guidellm(self)
        ),
        field=".workload.request",
    ),
    Rule(
        sentence="cannot go with GuideLLM, which would count the requests of its beginning, too: remove it, and set "
        "durationSeconds",
        cel=f"!has(self.workload.maxRequests) || !({ANY})",
        holds=lambda self: self.workload.max_requests is None or not any_guidellm(self),
        field=".workload.maxRequests",
    ),
    Rule(
        sentence="has an endpoint with https://, tls or tokenSecretRef that is loaded by GuideLLM, to which neither a CA nor a "
        "token is handed: load it with loadGenerator.native",
        cel=f"self.targets.all(t, !has(t.endpoint) || !(has(t.loadGenerator) ? has(t.loadGenerator.guidellm) : {_RUNS}) || "
        "((!has(t.endpoint.url) || t.endpoint.url.startsWith('http://')) && !has(t.endpoint.tls) && "
        "!has(t.endpoint.tokenSecretRef)))",
        holds=lambda self: all(_plain_endpoint(self, target) for target in self.targets),
        field=".targets",
    ),
    Rule(
        sentence="must have lengthPolicy: AsPublished and neither sampling nor extraBodyJSON where a target is loaded by "
        "GuideLLM 0.2.1, which tells every engine to ignore the end of sequence and sends nothing else: set it so, or "
        "take version 0.8.1",
        cel=f"!({OLD}) || (has(self.workload.request) && has(self.workload.request.lengthPolicy) && "
        "self.workload.request.lengthPolicy == 'AsPublished' && !has(self.workload.request.sampling) && "
        "!has(self.workload.request.extraBodyJSON))",
        holds=lambda self: (
            not _old(self)
            or (
                self.workload.request is not None
                and self.workload.request.length_policy == "AsPublished"
                and self.workload.request.sampling is None
                and self.workload.request.extra_body_json is None
            )
        ),
        field=".workload.request",
    ),
    Rule(
        sentence="has rows with messages, and a target is loaded by GuideLLM 0.2.1, which sends one prompt: give a prompt "
        "instead of messages, or take version 0.8.1",
        cel=f"!has(self.workload.dataset.inline) || !({OLD}) || "
        "self.workload.dataset.inline.rows.all(row, !has(row.messages))",
        holds=lambda self: (
            self.workload.dataset.inline is None
            or not _old(self)
            or all(row.messages is None for row in self.workload.dataset.inline.rows)
        ),
        field=".workload.dataset.inline",
    ),
    Rule(
        sentence="is by request rate, and a target is loaded by GuideLLM 0.2.1, which sends late without telling how "
        "late it was: use load.concurrency, or take version 0.8.1",
        cel=f"!(has(self.workload.load.requestRate) || (has(self.workload.load.sweep) && "
        f"has(self.workload.load.sweep.requestRate))) || !({OLD})",
        holds=lambda self: (
            not _old(self)
            or (
                self.workload.load.request_rate is None
                and (self.workload.load.sweep is None or self.workload.load.sweep.request_rate is None)
            )
        ),
        field=".workload.load",
    ),
)
