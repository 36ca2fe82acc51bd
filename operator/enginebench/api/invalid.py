"""What is wrong with a run though the API server could not see it."""

import json

import msgspec

from enginebench.api.pod_resolve import resolve_pod
from enginebench.api.quantity import exceeds
from enginebench.api.resolve import inline_rows, resolve_workload
from enginebench.api.spec import BenchmarkRunSpec

MOST_INLINE_BYTES = 768 * 1024
"""Of rows as JSON: each load pod gets them in a ConfigMap, which holds 1 MiB, with the rest of its plan."""
OWN_BODY_FIELDS = frozenset(
    {
        *("model", "prompt", "messages", "stream", "raw", "n"),
        *("max_tokens", "ignore_eos", "temperature", "top_p", "repetition_penalty", "seed"),
        *("max_completion_tokens", "stream_options", "n_predict", "repeat_penalty", "keep_alive"),
    }
)
"""Fields of a request's body that the run says elsewhere, or without which it is not what is measured."""
OWN_OPTIONS = frozenset({"num_predict", "temperature", "top_p", "repeat_penalty", "seed"})
"""The same within Ollama's `options`."""


def invalid_reasons(spec: BenchmarkRunSpec) -> list[str]:
    """Sentences, each with field and cure; empty: nothing is wrong."""
    return [*_extra_body(spec), *_too_many_rows(spec), *_requests_above_limits(spec)]


def _extra_body(spec: BenchmarkRunSpec) -> list[str]:
    text = resolve_workload(spec).extra_body_json
    if not text:
        return []
    field = "spec.workload.request.extraBodyJSON"
    try:
        body = json.loads(text, parse_constant=_no_number)
    except ValueError as error:
        return [f"{field}: is not JSON ({error}): correct it."]
    if not isinstance(body, dict):
        return [f'{field}: must be a JSON object, such as {{"min_p": 0.1}}.']
    options = body.get("options", {})
    if not isinstance(options, dict):
        return [f"{field}: options must be an object: Ollama's settings stand in it."]
    owned = sorted(OWN_BODY_FIELDS & body.keys()) + sorted(f"options.{n}" for n in OWN_OPTIONS & options.keys())
    return [f"{field}: {', '.join(owned)} are set from other fields of the run: remove them."] if owned else []


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON number")


def _too_many_rows(spec: BenchmarkRunSpec) -> list[str]:
    inline = spec.workload.dataset.inline
    if inline is None or (size := len(msgspec.json.encode(inline_rows(inline)))) <= MOST_INLINE_BYTES:
        return []
    return [
        f"spec.workload.dataset.inline: the rows take {size:,} bytes, and a run holds {MOST_INLINE_BYTES:,} of them: "
        "put them into a file, packed with gzip in a ConfigMap (dataset.configMap), or on a volume "
        "(dataset.persistentVolumeClaim)."
    ]


def _requests_above_limits(spec: BenchmarkRunSpec) -> list[str]:
    found = []
    for i, target in enumerate(spec.targets):
        if target.pod is None or target.pod.resources is None:
            continue  # nothing is merged
        pod = resolve_pod(spec, target)
        for name, asked in pod.requests.items():
            limit = pod.limits.get(name)
            if limit is not None and exceeds(asked, limit):
                found.append(
                    f"spec.targets[{i}].pod.resources: merged with engineDefaults, the request of {name} "
                    f"({asked}) is above its limit ({limit}): set both in the same place."
                )
    return found
