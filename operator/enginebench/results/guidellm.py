"""The window as GuideLLM 0.2.1 counts: for results to be held beside ones that were published with it.

GuideLLM looks at the requests that were started and complete between its start and its stop, and divides by the time
from the first start to the last end among them (`guidellm/objects/statistics.py`: `from_request_times`,
`from_iterable_request_times`; the report's `successful.mean`). What was in flight at either end is left out, so that
its rates fall short of the engine's by up to one request's length in the window's; under overload they tell of the
quick requests only.
"""

from collections.abc import Iterable

from enginebench.results.figures import Tokens
from enginebench.results.point_report import GuideLlmCount
from enginebench.results.record import RequestRecord, Window


def guidellm_count(records: Iterable[RequestRecord], window: Window, counted: Tokens) -> GuideLlmCount | None:
    """Requests and output tokens of the successes that lie in the window with both ends, each ÷ (last end - first
    start) among them; None without any.

    GuideLLM itself leaves the one token out that falls upon the last end. Its `tokens_per_second` counts prompt
    tokens twice and is not repeated here.
    """
    requests, tokens, first, last = 0, 0.0, window.close, window.open
    for r in records:
        if r.outcome == "succeeded" and r.start in window and r.end in window:
            requests, tokens = requests + 1, tokens + counted.of(r)
            first, last = min(first, r.start), max(last, r.end)
    if not requests:
        return None
    seconds = (last - first) / 1e9
    return GuideLlmCount(
        requests=requests,
        seconds=seconds,
        requests_per_second=requests / seconds,
        output_tokens_per_second=tokens / seconds,
    )
