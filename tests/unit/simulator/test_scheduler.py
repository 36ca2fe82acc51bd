"""Continuous batching on a virtual clock: every time below follows from the latency model alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.simulator.latency import LatencyModel
from enginebench.simulator.scheduler import PREFILL_BUDGET, QueueFullError, Scheduler, Sequence

PREFILL, STEP, EACH = 10, 1000, 100
"""Per prompt token, per step, per sequence in the batch."""


def scheduler(slots: int = 4, max_queue: int = 100, jitter: float = 0.0) -> Scheduler[Sequence]:
    return Scheduler(LatencyModel(PREFILL, STEP, EACH, jitter, seed=1), slots, max_queue)


def request(prompt: int = 10, output: int = 3, key: int = 1) -> Sequence:
    return Sequence(key, prompt, output, "length")


def run(engine: Scheduler[Sequence]) -> list[int]:
    """Complete every step; when each was due."""
    times = []
    while engine.due is not None:
        times.append(engine.due)
        engine.complete()
    return times


def test_one_request() -> None:
    engine, one = scheduler(), request(prompt=10, output=3)
    engine.submit(one, now=5000)
    assert run(engine) == [6200, 7300, 8400]
    assert (one.arrived_at, one.admitted_at, one.first_at, one.last_at) == (5000, 5000, 6200, 8400)


def test_a_second_request_joins_at_the_next_step_and_its_prefill_holds_up_the_first() -> None:
    engine, one, two = scheduler(), request(prompt=10, output=3), request(prompt=20, output=2)
    engine.submit(one, now=0)
    engine.submit(two, now=500)
    # one's prompt and a batch of one; then two's prompt and a batch of two; then a batch of two.
    assert run(engine) == [1200, 1200 + 200 + 1200, 2600 + 1200]
    assert two.admitted_at == 1200
    assert two.first_at == 2600
    assert one.last_at == two.last_at == 3800


def test_a_step_does_not_begin_later_because_the_caller_came_late() -> None:
    engine, one = scheduler(), request(output=3)
    engine.submit(one, now=0)
    engine.complete()  # whatever the hour
    assert engine.began_at == 1200
    assert engine.due == 2300


def test_who_arrived_after_a_step_began_is_not_in_it() -> None:
    engine, one, late = scheduler(), request(output=2), request(output=1)
    engine.submit(one, now=0)
    engine.submit(late, now=1300)  # the caller has not yet told that the step due at 1200 is over
    engine.complete()
    assert engine.batch == [one]
    engine.complete()
    assert engine.batch == [late]
    assert late.admitted_at == 2300


def test_an_idle_engine_waits_for_who_arrives_later() -> None:
    engine, one, late = scheduler(), request(output=1), request(output=1)
    engine.submit(one, now=0)
    engine.submit(late, now=1500)
    engine.complete()
    assert late.admitted_at == 1500
    assert engine.due == 1500 + 1200


def test_slots_bound_the_batch_and_the_queue_is_first_come_first_served() -> None:
    engine = scheduler(slots=2)
    requests = [request(output=2, key=key) for key in range(5)]
    for sequence in requests:
        engine.submit(sequence, now=0)
    sizes = []
    while engine.due is not None:
        sizes.append(len(engine.batch))
        engine.complete()
    assert sizes == [1, 2, 2, 2, 2, 1]
    assert [one.admitted_at for one in requests] == sorted(one.admitted_at for one in requests)


def test_the_queue_is_bounded() -> None:
    engine = scheduler(slots=1, max_queue=2)
    for _ in range(3):
        engine.submit(request(), now=0)
    with pytest.raises(QueueFullError):
        engine.submit(request(), now=0)
    engine.complete()
    assert len(engine.waiting) == 2


def test_no_queue_at_all_still_lets_the_slots_be_used() -> None:
    engine = scheduler(slots=2, max_queue=0)
    engine.submit(request(), now=0)
    engine.submit(request(), now=1)
    with pytest.raises(QueueFullError):
        engine.submit(request(), now=2)


def test_who_goes_away_frees_the_slot_or_the_place_in_the_queue() -> None:
    engine, one, two, three = scheduler(slots=1), request(output=100), request(output=100), request(output=1)
    for sequence in (one, two, three):
        engine.submit(sequence, now=0)
    engine.drop(one)
    engine.drop(two)
    engine.complete()
    assert engine.batch == [three]
    engine.drop(one)  # twice does no harm
    engine.complete()
    assert engine.due is None


def test_long_prompts_join_step_by_step() -> None:
    engine = scheduler()
    requests = [request(prompt=PREFILL_BUDGET, output=1, key=key) for key in range(3)]
    engine.submit(request(output=2), now=0)
    for sequence in requests:
        engine.submit(sequence, now=1)
    run(engine)
    assert len({one.admitted_at for one in requests}) == 3


def test_a_prompt_beyond_the_budget_is_read_in_one_step() -> None:
    engine, long = scheduler(), request(prompt=3 * PREFILL_BUDGET, output=1)
    engine.submit(long, now=0)
    assert run(engine) == [3 * PREFILL_BUDGET * PREFILL + STEP + EACH]


def test_newcomers_stand_first_in_the_batch() -> None:
    engine, one, two = scheduler(), request(), request()
    engine.submit(one, now=0)
    engine.submit(two, now=1)
    engine.complete()
    assert engine.batch == [two, one]


requests_at = st.lists(
    st.tuples(st.integers(0, 20_000), st.integers(1, 3000), st.integers(1, 20)), min_size=1, max_size=40
)


@given(arrivals=requests_at, slots=st.integers(1, 5), jitter=st.sampled_from([0.0, 0.3]))
def test_every_request_gets_its_tokens_in_order_and_within_the_slots(
    arrivals: list[tuple[int, int, int]], slots: int, jitter: float
) -> None:
    def play() -> list[tuple[int, int, int]]:
        engine = scheduler(slots=slots, jitter=jitter)
        ahead = sorted(arrivals)
        requests = [request(prompt, output, key=prompt) for _, prompt, output in ahead]
        queue = list(zip((at for at, _, _ in ahead), requests, strict=True))
        previous = 0
        while queue or engine.due is not None:
            if queue and (engine.due is None or queue[0][0] <= engine.due):
                at, sequence = queue.pop(0)
                engine.submit(sequence, at)
                continue
            assert engine.due is not None
            assert engine.due > previous
            assert len(engine.batch) <= slots
            previous = engine.due
            engine.complete()
        assert not engine.batch
        for sequence in requests:
            assert sequence.produced == sequence.output_tokens
            assert sequence.arrived_at <= sequence.admitted_at < sequence.first_at <= sequence.last_at
        admitted = [sequence.admitted_at for sequence in requests]
        assert admitted == sorted(admitted)
        return [(one.admitted_at, one.first_at, one.last_at) for one in requests]

    assert play() == play()
