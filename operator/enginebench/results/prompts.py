"""Whether a server read all of the prompts that it was sent."""

from collections.abc import Iterable
from statistics import median

from enginebench.results.point_report import ShortPrompts
from enginebench.results.record import RequestRecord

SHORT = 0.9
"""Below this share of the tokens that a prompt should have, it was cut off."""


def short_prompts(records: Iterable[RequestRecord]) -> ShortPrompts | None:
    """Requests whose prompt has fewer tokens by the server than by the data set; None where there is none.

    A data set counted by another tokenizer is off by about the same factor everywhere: the median of server's ÷ data
    set's count, where it is below 1, is taken for that factor, and a prompt is short below 90 % of it.
    """
    both = [(r.prompt_tokens, r.known_prompt_tokens) for r in records if r.prompt_tokens and r.known_prompt_tokens]
    if not both:
        return None
    usual = min(1.0, median(counted / known for counted, known in both))
    short = [(counted, known) for counted, known in both if counted < SHORT * usual * known]
    if not short:
        return None
    counted, known = min(short, key=lambda one: one[0] / one[1])
    return ShortPrompts(requests=len(short), of=len(both), counted=counted, known=known)
