"""Files of a data set: every format, packed and not, whole and broken; never more of one in memory than is needed."""

import gzip
import io
import json
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.api.loadplan import Row
from enginebench.loadgen import datafile, jsonarray
from enginebench.loadgen.datafile import Found, rows_of
from enginebench.loadgen.errors import BrokenFile

LINES = b'{"prompt": "a"}\n\n{"prompt": "b"}\n'
PACKED = gzip.compress(LINES, mtime=0)
CONVERSATIONS: list[dict[str, Any]] = [
    {"id": "a", "conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}]},
    {"id": "b", "conversations": [{"from": "gpt", "value": "And so on."}, {"from": "human", "value": "More"}]},
    {"id": "c", "conversations": [{"from": "system", "value": "Be brief."}, {"from": "user", "value": "Who?"}]},
    {"id": "d", "conversations": [{"from": "gpt", "value": "Nobody asked."}]},
    {"id": "e", "conversations": [{"from": "human", "value": " "}]},
    {"id": "f", "conversations": []},
]
QUESTIONS = [Row(prompt="Why?"), Row(prompt="More"), Row(prompt="Who?"), None, None, None]


def found(data: bytes, form: str = "JSONL") -> list[Found]:
    return list(rows_of(io.BytesIO(data), form))


def what(data: bytes, form: str = "JSONL") -> list[Row | str | None]:
    return [each.what for each in found(data, form)]


@pytest.mark.parametrize("data", [LINES, PACKED, b"\xef\xbb\xbf" + LINES, LINES.replace(b"\n", b"\r\n")])
def test_lines_packed_or_not(data: bytes) -> None:
    assert found(data) == [Found("line 1", Row(prompt="a")), Found("line 3", Row(prompt="b"))]


@pytest.mark.parametrize("spaces", [None, 2])
def test_sharegpt_is_its_first_question(spaces: int | None) -> None:
    data = json.dumps(CONVERSATIONS, indent=spaces).encode()
    assert what(data, "ShareGPT") == what(gzip.compress(data), "ShareGPT") == QUESTIONS
    assert what(b"\xef\xbb\xbf \n" + data + b"\n", "ShareGPT") == QUESTIONS


def test_sharegpt_may_stand_in_lines() -> None:
    assert what("\n".join(map(json.dumps, CONVERSATIONS)).encode(), "ShareGPT") == QUESTIONS


def test_sharegpt_with_counts_keeps_them() -> None:
    counted = CONVERSATIONS[0] | {"prompt_tokens_count": 3, "output_tokens_count": 4}
    assert what(json.dumps([counted]).encode(), "ShareGPT") == [Row(prompt="Why?", prompt_tokens=3, output_tokens=4)]


def test_a_bad_conversation_is_named_with_line_and_number() -> None:
    bad = [CONVERSATIONS[0], {"id": 1}, {"conversations": [{"from": "human"}]}, {"conversations": "no"}]
    data = json.dumps(bad, indent=1).encode()
    told = [(place, said) for place, said in found(data, "ShareGPT") if isinstance(said, str)]
    lines = data.decode().splitlines()
    at = [number for number, line in enumerate(lines, 1) if line == " {"]
    assert told == [
        (f"line {at[1]} (conversation 2)", "Object missing required field `conversations`"),
        (f"line {at[2]} (conversation 3)", "Object missing required field `value` - at `$.conversations[0]`"),
        (f"line {at[3]} (conversation 4)", "Expected `array`, got `str` - at `$.conversations`"),
    ]


@pytest.mark.parametrize(
    ("data", "form", "said"),
    [
        (b'[{"prompt": "a"}]', "JSONL", "line 1: begins an array where there should be an object a line; is it format"),
        (PACKED[:-9], "JSONL", "ends in the middle of its gzip: it is not whole"),
        (PACKED[:-4] + b"\0\0\0\0", "JSONL", "cannot be read: Incorrect length of data produced"),
        (PACKED[:10] + b"\x07" * 20, "JSONL", "is not whole gzip: "),
        (b"[", "ShareGPT", "line 1: expected an object, and the file ends"),
        (b"[\n1]", "ShareGPT", "line 2: expected an object, found '1'"),
        (b"[{},\n]", "ShareGPT", "line 2: expected an object, found ']'"),
        (b"[{}\n{}]", "ShareGPT", "line 2: expected a comma or the array's end, found '{'"),
        (b"[{}]\n\n{}", "ShareGPT", "line 3: the array is over, found '{'"),
        (b'[{},\n{"id": "a', "ShareGPT", "line 2: Unterminated string"),
        (b'[{},\n{"id":\n ?}]' + b" " * 99, "ShareGPT", "line 3: Expecting value"),
        (b'[{"a": ' + b"[" * 100_000, "ShareGPT", "line 1: maximum recursion depth"),
        (b'[{"a": ' + b"1" * 5_000 + b"}]", "ShareGPT", "line 1: Exceeds the limit"),
        (b'[{"a": "\xff"}]', "ShareGPT", "after line 1: not UTF-8"),
    ],
)
def test_a_broken_file_is_named_with_its_line(data: bytes, form: str, said: str) -> None:
    with pytest.raises(BrokenFile) as told:
        found(data, form)
    assert str(told.value).startswith(said)


@pytest.mark.parametrize("form", ["JSONL", "ShareGPT"])
def test_a_bad_line_is_one_line(form: str) -> None:
    deep = b'{"a": ' + b"[" * 200_000
    assert found(b"\n" + deep + b"\n{\n", form) == [
        Found("line 2", "objects or arrays within each other without end"),
        Found("line 3", "Input data was truncated"),
    ]


def test_a_line_or_a_conversation_may_be_long_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datafile, "MOST_LINE_BYTES", 2**20)
    long = json.dumps({"prompt": "a" * 2**21}).encode()
    assert found(long + b"\n" + LINES) == [
        Found("line 1", "is longer than 1 MiB"),
        Found("line 2", Row(prompt="a")),
        Found("line 4", Row(prompt="b")),
    ]
    with pytest.raises(BrokenFile, match="line 1: longer than 1 MiB"):
        found(b'[{"a": "' + b"a" * 2**22 + b'"}]', "ShareGPT")


def test_what_a_little_gzip_unpacks_to_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datafile, "MOST_BYTES", 2**24)
    bomb = gzip.compress(b" " * 2**26)
    assert len(bomb) < 100_000
    with pytest.raises(BrokenFile, match="is larger than"):
        found(bomb)


def test_a_large_array_takes_little_memory() -> None:
    """32 MiB of conversations, of which the questions are a few bytes."""
    answer = {"from": "gpt", "value": "so " * 5_000}
    member = json.dumps({"conversations": [{"from": "human", "value": "Why?"}, answer]}).encode()
    data = b"[" + b",".join([member] * 2_000) + b"]"
    assert len(data) > 30_000_000
    tracemalloc.start()
    try:
        count = sum(1 for _ in rows_of(io.BytesIO(data), "ShareGPT"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 2_000
    assert peak < 16_000_000


OBJECTS = st.lists(
    st.dictionaries(
        st.text(max_size=4),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=6,
        ),
        max_size=3,
    ),
    max_size=6,
)


@given(objects=OBJECTS, chunk=st.integers(1, 40), spaces=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_an_array_is_what_json_says_wherever_it_is_cut(
    objects: list[Any], chunk: int, spaces: int | None, ascii_only: bool
) -> None:
    text = json.dumps(objects, indent=spaces, ensure_ascii=ascii_only)
    data = text.encode("utf-8", "surrogatepass") if ascii_only else text.encode("utf-8", "replace")
    old, jsonarray.CHUNK_BYTES = jsonarray.CHUNK_BYTES, chunk
    try:
        got = list(jsonarray.members(io.BytesIO(data), 10_000))
    finally:
        jsonarray.CHUNK_BYTES = old
    assert [member for _, member in got] == json.loads(data)


@given(place=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4), length=st.integers(0, 400))
def test_garbage_is_read_or_refused_and_never_crashes(place: list[tuple[int, int]], length: int) -> None:
    data = bytearray(json.dumps(CONVERSATIONS).encode())
    for at, byte in place:
        data[at] = byte
    for form in ("JSONL", "ShareGPT"):
        for text in (data, data[:length], gzip.compress(data)[:length]):
            with suppress(BrokenFile):
                found(bytes(text), form)
