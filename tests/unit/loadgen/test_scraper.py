"""How often an engine is asked for its metrics; tests/unit/validity has what comes of it."""

import pytest

from enginebench.api.loadplan import GuideLlmPlan
from enginebench.loadgen.scraper import pace_of
from tests.unit.loadgen.plans import plan


@pytest.mark.parametrize(
    ("seconds", "ours", "by_guidellm"),
    [(None, 5, 5), (1, 5, 1), (9, 5, 1), (30, 5, 3), (49, 5, 4), (50, 5, 5), (600, 5, 5)],
)
def test_every_five_seconds_or_ten_times_in_a_short_window_that_is_not_known(
    seconds: int | None, ours: int, by_guidellm: int
) -> None:
    assert pace_of(plan(duration_seconds=seconds)) == ours
    assert pace_of(plan(duration_seconds=seconds, guidellm=GuideLlmPlan(version="0.8.1"))) == by_guidellm
