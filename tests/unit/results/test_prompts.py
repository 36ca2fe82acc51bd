"""Prompts that a server did not read whole."""

import pytest

from enginebench.results.point_report import ShortPrompts
from enginebench.results.prompts import short_prompts
from enginebench.results.record import RequestRecord


@pytest.mark.parametrize(
    ("counts", "want"),
    [
        ([], None),
        ([(None, 100), (100, None), (0, 100)], None),
        ([(100, 100), (130, 100), (91, 100)], None),
        ([(120, 100), (110, 100), (512, 600), (512, 2000)], ShortPrompts(requests=2, of=4, counted=512, known=2000)),
        ([(80, 100), (160, 200), (240, 300)], None),  # another tokenizer
        ([(80, 100), (160, 200), (100, 300)], ShortPrompts(requests=1, of=3, counted=100, known=300)),
    ],
)
def test_short_prompts(counts: list[tuple[int | None, int | None]], want: ShortPrompts | None) -> None:
    records = [RequestRecord(start=0, prompt_tokens=counted, known_prompt_tokens=known) for counted, known in counts]
    assert short_prompts(records) == want
