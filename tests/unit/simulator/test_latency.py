"""The latency model: its formula, and jitter that is seeded, bounded and centred."""

from enginebench.simulator.latency import LatencyModel, draw

EXACT = LatencyModel(prefill_per_token=100, decode_step=10_000, decode_step_per_sequence=50)


def test_step_grows_with_the_batch() -> None:
    assert EXACT.decode(1, 1) == 10_050
    assert EXACT.decode(32, 2) == 11_600


def test_prefill_grows_with_the_prompt() -> None:
    assert EXACT.prefill(1000, 7) == 100_000
    assert EXACT.prefill(0, 7) == 0


def test_jitter_stays_within_its_bounds_and_is_centred() -> None:
    model = LatencyModel(100, 1_000_000, 0, jitter=0.1, seed=3)
    times = [model.decode(1, number) for number in range(2000)]
    assert 900_000 <= min(times) < 905_000
    assert 1_095_000 < max(times) <= 1_100_000
    assert abs(sum(times) / len(times) - 1_000_000) < 5_000


def test_jitter_belongs_to_seed_and_number() -> None:
    first, same, other = (LatencyModel(100, 1_000_000, 0, jitter=0.1, seed=seed) for seed in (1, 1, 2))
    assert [first.decode(1, n) for n in range(20)] == [same.decode(1, n) for n in range(20)]
    assert [first.decode(1, n) for n in range(20)] != [other.decode(1, n) for n in range(20)]
    assert first.prefill(100, 5) == same.prefill(100, 5)
    assert first.prefill(100, 5) != first.prefill(100, 6)


def test_draws_are_uniform_whatever_the_numbers() -> None:
    for values in (
        [draw(0, n) for n in range(4000)],
        [draw(n, 0) for n in range(4000)],
        [draw(9, 2, n) for n in range(4000)],
    ):
        assert all(0 <= value < 1 for value in values)
        tenths = [sum(int(value * 10) == tenth for value in values) for tenth in range(10)]
        assert all(320 < count < 480 for count in tenths)
