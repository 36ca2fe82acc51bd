"""What the bench of several processes holds against one."""

import pytest

from bench.loadgen.rows import ideal
from bench.processes import Costs, linear

SINGLE = {(256, 1): (ideal(256), 0.015), (512, 1): (ideal(512), 0.012)}


@pytest.mark.parametrize(
    ("several", "kept"),
    [
        ({(512, 2): (ideal(512), 0.0165)}, [True, True]),
        ({(512, 2): (ideal(512), 0.0185)}, [True, False]),
        ({(512, 2): (0.97 * ideal(512), 0.0165)}, [False, True]),
        ({(1024, 2): (ideal(1024), 0.0149)}, [True, False]),  # against 512 in one, which cost less
        ({(256, 2): (ideal(256), 0.03)}, []),  # nothing of 128 in one
    ],
)
def test_several_are_held_against_one_with_as_many_streams_each(several: Costs, kept: list[bool]) -> None:
    assert [check.kept for check in linear({**SINGLE, **several})] == kept


def test_both_figures_are_told() -> None:
    _, cpu = linear({**SINGLE, (512, 2): (ideal(512), 0.0165)})
    assert "0.0165 s per 1,000 tokens against 0.0150 s of 256 in one" in str(cpu)
