"""Data sets: read, refused line by line, and named by a digest that only the rows decide."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from enginebench.api.loadplan import DatasetPlan, Message, Row, SyntheticRows
from enginebench.loadgen import dataset
from enginebench.loadgen.errors import GaveUp
from enginebench.results.messages import DatasetReport
from tests.unit.loadgen.plans import prompts


def read(lines: str | bytes, folder: Path, *, chat: bool = True) -> tuple[list[Row], DatasetReport]:
    file = folder / "prompts.jsonl"
    file.write_bytes(lines.encode() if isinstance(lines, str) else lines)
    rows, report = dataset.read(DatasetPlan(file=str(file)), chat=chat)
    return list(rows), report


def test_a_file_has_guidellms_names_and_may_say_more(tmp_path: Path) -> None:
    rows, report = read(
        '{"prompt": "a", "prompt_tokens_count": 3, "output_tokens_count": 5, "answer": "x"}\r\n'
        "\n"
        '{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]}',
        tmp_path,
    )
    messages = (Message(role="system", content="s"), Message(role="user", content="u"))
    assert rows == [Row(prompt="a", prompt_tokens=3, output_tokens=5), Row(messages=messages)]
    assert (report.rows, report.errors) == (2, ())


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("{", "line 2: Input data was truncated"),
        ('"text"', "line 2: Expected `object`, got `str`"),
        ('{"prompt": 7}', "line 2: Expected `str | null`, got `int` - at `$.prompt`"),
        ('{"prompt": ""}', "line 2: has neither a prompt nor messages, or it is empty"),
        ('{"messages": []}', "line 2: has neither a prompt nor messages, or it is empty"),
        ('{"messages": [{"role": "user"}]}', "line 2: Object missing required field `content` - at `$.messages[0]`"),
        ('{"answer": "a"}', "line 2: has neither a prompt nor messages"),
        ('{"prompt": "a", "messages": [{"role": "user", "content": "b"}]}', "line 2: has both a prompt and messages"),
        ('{"prompt": "a", "output_tokens_count": 0}', "line 2: its output token count is 0; it must be 1 or more"),
        ('{"prompt": "a", "prompt_tokens_count": -1}', "line 2: its prompt token count is -1"),
        (b'{"prompt": "\xff"}', "line 2: "),
        ('{"prompt": "\\ud83d"}', "line 2: "),
        (
            '{"instruction": "Sum up", "input": "a"}',
            "line 2: has instruction and input; call the one that is to be sent",
        ),
        ('{"text": ["a"]}', "line 2: its text is no text"),
        ('{"conversations": []}', "line 2: has conversations: set spec.workload.dataset.format to ShareGPT"),
        (
            '{"messages": [{"role": "human", "content": "a"}]}',
            "line 2: its message 1 is of 'human'; the role must be one",
        ),
        (
            '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}',
            "line 2: its messages end with the assistant; leave out the answer",
        ),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_reason(line: str | bytes, error: str, tmp_path: Path) -> None:
    raw = line.encode() if isinstance(line, str) else line
    _, report = read(b'{"prompt":"good"}\n' + raw + b'\n{"prompt":"good"}\n', tmp_path)
    [told] = report.errors
    assert told.startswith(error)


def test_errors_come_in_the_order_of_their_lines_and_at_most_twenty(tmp_path: Path) -> None:
    _, report = read('{"prompt": ""}\n{\n' * 15, tmp_path)
    assert [int(error.split()[1].rstrip(":")) for error in report.errors[:20]] == list(range(1, 21))
    assert report.errors[20:] == ("and 10 more",)


def test_an_error_is_told_in_a_few_words_however_long_its_line(tmp_path: Path) -> None:
    line = json.dumps({"messages": [{"role": "x" * 100_000, "content": "a"}]})
    assert len(read(line, tmp_path)[1].errors[0]) == 300


def test_conversations_are_refused_where_the_route_takes_a_prompt(tmp_path: Path) -> None:
    _, report = read('{"messages": [{"role": "user", "content": "u"}]}', tmp_path, chat=False)
    assert report.errors[0].startswith("line 1: has messages, but the route takes a prompt; use ChatCompletions")


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_set_is_refused(text: str, tmp_path: Path) -> None:
    assert read(text, tmp_path)[1].errors == ("there is no row in it",)


@pytest.mark.parametrize(("name", "why"), [("gone.jsonl", "No such file or directory"), ("", "Is a directory")])
def test_a_file_that_is_not_there_is_named(name: str, why: str, tmp_path: Path) -> None:
    plan = DatasetPlan(file=str(tmp_path / name), source="PersistentVolumeClaim prompts, path a/gone.jsonl")
    with pytest.raises(GaveUp, match=f"PersistentVolumeClaim prompts, path a/gone.jsonl cannot be read: {why}") as told:
        dataset.read(plan, chat=True)
    assert told.value.reason == "DatasetNotFound"


def test_too_many_rows_or_too_much_of_them_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "MOST_ROWS", 3)
    assert read('{"prompt": "a"}\n' * 3, tmp_path)[1].errors == ()
    assert read('{"prompt": "a"}\n' * 4, tmp_path)[1].errors == ("has more than 3 rows; take a part of it",)
    monkeypatch.setattr(dataset, "MOST_ROW_BYTES", 2**20)
    _, report = read(json.dumps({"prompt": "a" * 600_000}) + "\n" + json.dumps({"prompt": "b" * 600_000}), tmp_path)
    assert report.errors == ("its rows are more than 1 MiB from row 2 on; take a part of it",)


def test_the_digest_is_of_the_rows_not_of_their_spelling(tmp_path: Path) -> None:
    _, one = read('{"prompt":"a"}\n{"prompt":"b","output_tokens_count":2}', tmp_path)
    _, other = read('\n{"answer":1, "prompt": "a"}\n{"output_tokens_count":2,"prompt":"\\u0062"}\n', tmp_path)
    _, packed = read(gzip.compress(b'{"prompt":"a"}\n{"prompt":"b","output_tokens":2}'), tmp_path)
    _, inline = dataset.read(DatasetPlan(rows=(Row(prompt="a"), Row(prompt="b", output_tokens=2))), chat=True)
    _, turned = dataset.read(DatasetPlan(rows=(Row(prompt="b", output_tokens=2), Row(prompt="a"))), chat=True)
    assert one.digest == other.digest == packed.digest == inline.digest != turned.digest
    assert one.digest.startswith("sha256:")


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ({"text": "a"}, Row(prompt="a")),
        ({"question": "a", "answer": "b"}, Row(prompt="a")),
        ({"instruction": "a", "input": "", "output": "b"}, Row(prompt="a")),
        ({"prompt": "a", "context": ["b"], "text": 7}, Row(prompt="a")),
        ({"prompt": "a", "prompt_tokens": 1, "output_tokens": 2}, Row(prompt="a", prompt_tokens=1, output_tokens=2)),
        (
            {"prompt": "a", "input_tokens_count": 1, "completion_tokens_count": 2},
            Row(prompt="a", prompt_tokens=1, output_tokens=2),
        ),
        (
            {"prompt": "a", "output_tokens_count": 2, "output_tokens": 9, "prompt_tokens": None},
            Row(prompt="a", output_tokens=2),
        ),
    ],
)
def test_every_name_of_guidellms_that_cannot_be_mistaken(line: dict[str, Any], row: Row, tmp_path: Path) -> None:
    rows, report = read(json.dumps(line), tmp_path)
    assert (rows, report.errors) == ([row], ())


def test_inline_rows_are_checked_too() -> None:
    _, report = dataset.read(DatasetPlan(rows=(*prompts("a"), Row())), chat=True)
    assert report.errors == ("row 2: has neither a prompt nor messages, or it is empty",)


def test_synthetic_prompts_begin_each_in_its_own_way() -> None:
    """A prefix cache answers whole blocks (16 tokens in vLLM): none of the first is alike."""
    rows, _ = dataset.read(
        DatasetPlan(synthetic=SyntheticRows(rows=100_000, prompt_tokens=16, output_tokens=1)), chat=True
    )
    assert len({tuple((row.prompt or "").split()[:10]) for row in rows}) == 100_000


def test_synthetic_rows_are_made_on_demand_and_depend_on_the_seed() -> None:
    plans = [SyntheticRows(rows=100_000, prompt_tokens=100_000, output_tokens=5, seed=seed) for seed in (1, 1, 2)]
    sets = [dataset.read(DatasetPlan(synthetic=p), chat=True) for p in plans]
    (rows, report), (again, same), (_, other) = sets
    assert (len(rows), report.rows) == (100_000, 100_000)
    assert rows[99_999] == again[99_999] != rows[99_998]
    assert len((rows[5].prompt or "").split()) == 100_000
    assert rows[5].output_tokens == 5
    assert report.digest == same.digest != other.digest
    assert [row.prompt for row in rows[1:3]] == [rows[1].prompt, rows[2].prompt]
    with pytest.raises(IndexError):
        rows[100_000]
