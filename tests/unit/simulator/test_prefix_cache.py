"""Which beginnings of prompts are known."""

from enginebench.simulator.prefix_cache import PrefixCache

BLOCKS = [" ".join(f"{name}{n}" for n in range(16)) for name in "abcd"]


def test_whole_blocks_from_the_start_are_known() -> None:
    cache = PrefixCache(10_000)
    assert cache.look_up(" ".join(BLOCKS[:3])) == 0
    assert cache.look_up(" ".join(BLOCKS[:2]) + " and more") == 32
    assert cache.look_up(" ".join((BLOCKS[1], BLOCKS[0]))) == 0
    assert cache.look_up("x " + " ".join(BLOCKS[:3])) == 0
    assert cache.look_up("too short") == 0


def test_the_last_token_is_always_read() -> None:
    cache = PrefixCache(10_000)
    cache.look_up(BLOCKS[0])
    assert cache.look_up(BLOCKS[0]) == 15


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    cache = PrefixCache(32)
    for block in BLOCKS[:3]:
        cache.look_up(f"{block} x")
    assert cache.look_up(f"{BLOCKS[0]} x") == 0
    assert cache.look_up(f"{BLOCKS[2]} x") == 16
