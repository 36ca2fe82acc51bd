"""The fuzzer's property on what it once broke on, on its seeds, and on enough mutations to see that it looks."""

from collections import deque
from pathlib import Path
from random import Random

import pytest

from enginebench.loadgen.events import SseSplitter
from tests.fuzz import domain
from tests.fuzz.inputs import mutations, response_of, seeds
from tests.fuzz.property import agreed, check
from tests.support import plainreader, streams

MENDED = sorted((Path(__file__).parents[2] / "fuzz/mended").iterdir())


@pytest.mark.parametrize("path", MENDED, ids=lambda path: path.name)
def test_what_was_mended_stays_so(path: Path) -> None:
    check(path.read_bytes())


def test_the_seeds_hold_and_the_plain_reader_has_a_say_on_most_of_them() -> None:
    inputs = list(seeds())
    for data in inputs[::7]:
        check(data)
    compared = sum(agreed(*response_of(data)) is not None for data in inputs)
    assert compared > 0.8 * len(inputs)


def test_a_few_hundred_mutations_hold() -> None:
    blindly = mutations(Random(1))  # noqa: S311  # no secret
    for _ in range(300):
        check(next(blindly))


def test_a_parser_that_loses_a_cut_event_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: SseSplitter, piece: bytes) -> None:
        for line in piece.split(b"\n"):  # as if no line were ever cut
            self._line(line)

    monkeypatch.setattr(SseSplitter, "feed", forgetful)
    inputs = list(seeds())
    with pytest.raises(AssertionError, match="cut"):
        deque(map(check, inputs), maxlen=0)


@pytest.mark.parametrize("api", streams.APIS)
def test_every_event_of_the_dialects_is_in_the_domain(api: str) -> None:
    """But where a tool's arguments are an object that has a member of the same name."""
    for shape in streams.some(api, 5, 100):
        if api != "OllamaChat" or all(kind not in {"tool name", "tool arguments"} for kind, _ in shape.deltas):
            found = plainreader.stream_events(api, b"".join(streams.events(shape)))
            assert all(domain.plain(api, event) for event in found), shape


@pytest.mark.parametrize(
    ("api", "event"),
    [
        ("Completions", b'{"x":{"text":"a"},"choices":[{"finish_reason":null}]}'),
        ("ChatCompletions", b'{"choices":[{"content":"a","finish_reason":null}]}'),
        ("ChatCompletions", b'{"choices":[{"delta":{"content":5}}]}'),
        ("OllamaChat", b'{"message":{"content":"a"},"done":1}'),
        ("OllamaChat", b'{"message":{"content":"a","content":"b"}}'),
        ("OllamaGenerate", b'{"response":"a","error":"b"}'),
        ("OllamaGenerate", b'{"response":"\\ud800"}'),
        ("OllamaGenerate", b'{"response":"a","eval_count":-1}'),
        ("OllamaGenerate", b"[DONE]"),
    ],
)
def test_what_may_mean_several_things_is_not(api: str, event: bytes) -> None:
    assert not domain.plain(api, event)
