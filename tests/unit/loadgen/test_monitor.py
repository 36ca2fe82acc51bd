"""The load generator's eye on itself: what an event would have waited, and what was read together for that."""

import asyncio
import socket
import time

from enginebench.loadgen.gaps import Gaps
from enginebench.loadgen.monitor import PERIOD, Monitor
from enginebench.results.seen import Strain


async def test_a_second_slept_through_is_a_second_of_lags_not_one() -> None:
    monitor = Monitor(Gaps())
    monitor.start()
    await asyncio.sleep(0.2)
    time.sleep(0.5)  # noqa: ASYNC251  # the loop is held up on purpose
    await asyncio.sleep(0.2)
    monitor.stop()
    lag = monitor.strain.lag
    assert lag.samples * PERIOD / 1e9 > 0.88
    assert lag.maximum > 490e6
    # Over half of the time lags from 500 ms down to nothing: a tenth of all are above 400 ms.
    assert (lag.quantile(90) or 0) > 350e6
    strain = monitor.strain
    assert strain.wall_seconds > 0.9
    assert strain.cpu_seconds < strain.wall_seconds


async def test_events_read_together_are_laid_to_us_only_while_we_were_late() -> None:
    gaps = Gaps()
    gaps.open()
    gaps.note(0)
    monitor = Monitor(gaps)
    monitor.start()
    time.sleep(0.02)  # noqa: ASYNC251  # the loop is held up on purpose
    for gap in (0, 0, 7):
        gaps.note(gap)
    await asyncio.sleep(0.01)
    assert (monitor.strain.late_gaps, monitor.strain.late_coalesced) == (3, 2)
    monitor.stop()


async def test_events_that_are_read_after_the_timer_in_the_same_turn_are_late_too() -> None:
    """The kernel hands out first what was ready first."""
    loop, gaps, read = asyncio.get_running_loop(), Gaps(), asyncio.Event()
    ours, theirs = socket.socketpair()

    def on_events() -> None:
        loop.remove_reader(ours)
        for gap in (0, 0, 7):
            gaps.note(gap)
        read.set()

    gaps.open()
    monitor = Monitor(gaps)
    monitor.start()
    loop.add_reader(ours, on_events)
    with ours, theirs:
        time.sleep(0.02)  # noqa: ASYNC251  # the loop is held up on purpose
        theirs.send(b"x")
        await read.wait()
        await asyncio.sleep(0.03)
        assert (monitor.strain.late_gaps, monitor.strain.late_coalesced) == (3, 2)
    monitor.stop()


async def test_stopping_takes_the_timer_away() -> None:
    monitor = Monitor(Gaps())
    monitor.start()
    monitor.stop()
    samples = monitor.strain.lag.samples
    await asyncio.sleep(0.05)
    assert monitor.strain.lag.samples == samples


def test_of_several_processes_the_worst_share_stands() -> None:
    one = Strain(late_gaps=1, late_coalesced=1, cpu_seconds=2.0, wall_seconds=10.0, throttled=0.1)
    other = Strain(late_gaps=2, late_coalesced=0, cpu_seconds=3.0, wall_seconds=10.1, throttled=0.0, stolen=0.2)
    for strain, lag in ((one, 5), (other, 7)):
        strain.lag.record(lag)
    one.merge(other)
    assert (one.late_gaps, one.late_coalesced, one.cpu_seconds, one.wall_seconds) == (3, 1, 5.0, 10.1)
    assert (one.throttled, one.stolen, one.lag.samples, one.lag.maximum) == (0.1, 0.2, 2, 7)
