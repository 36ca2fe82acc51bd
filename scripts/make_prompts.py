"""Makes the fixed prompts of the published experiment, reproducibly: prompt/response pairs with token counts.

    pip install --no-deps llama-models==0.3.0 tiktoken regex     # in an environment of its own
    python scripts/make_prompts.py

The texts come from `scripts/prompts/subjects.yaml` alone, in an order drawn from a fixed seed; the counts
from Llama 3's own tokenizer, which PyPI's llama-models ships and this repository does not. Written are
`examples/prompts/pairs.jsonl` (the whole pairs) and the ConfigMap at the end of
`examples/vllm-vs-ollama.yaml` (what a run needs: prompts and counts, under GuideLLM's names).
"""

import json
import random
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
SUBJECTS = ROOT / "scripts/prompts/subjects.yaml"
PAIRS = ROOT / "examples/prompts/pairs.jsonl"
EXAMPLE = ROOT / "examples/vllm-vs-ollama.yaml"
MARKER = "# The prompts: made by scripts/make_prompts.py, do not edit below this line.\n"
SEED = 20250808
TOKENIZER = "llama-models"
MOST_TOKENS = 256

READERS = ("a new colleague", "my neighbour", "a curious teenager", "the readers of a club newsletter")
NAMES = ("Amara", "Jonas", "Mei", "Rafael", "Ingrid", "Tariq")


class Pair(NamedTuple):
    """A prompt and the answer whose length is asked for."""

    prompt: str
    response: str


def pairs(subjects: list[dict[str, Any]]) -> list[Pair]:
    """Seven pairs a subject, shuffled; the same on every machine."""
    draw = random.Random(SEED)  # noqa: S311  # a fixed order is wanted, not a secret
    made = [pair for subject in subjects for pair in _about(subject, draw)]
    draw.shuffle(made)
    return made


def _about(subject: dict[str, Any], draw: random.Random) -> Iterator[Pair]:
    name, notes = subject["subject"], draw.sample(subject["notes"], len(subject["notes"]))
    reader, friend, sender = draw.choice(READERS), *draw.sample(NAMES, 2)
    yield Pair(subject["question"], subject["answer"])
    yield Pair(
        f"Summarise these notes on {name} in two sentences for {reader}.\n\n"
        + "\n".join(f"- {note}" for note in notes),
        f"{notes[0]} {notes[3]}",
    )
    yield Pair(
        f"Give me 5 things worth knowing about {name}, as a numbered list without an introduction.",
        "\n".join(f"{place}. {note}" for place, note in enumerate(notes[:5], 1)),
    )
    yield Pair(
        f"Write a short, friendly email from {sender} to {friend}, who has just become interested in {name}. "
        f"Pass on these three points in your own order and offer to help:\n{notes[1]} {notes[2]} {notes[4]}",
        f"Hi {friend},\n\nHow nice to hear that you are getting into {name}! Three things that helped me: "
        f"{notes[4]} {notes[1]} And one more, which I wish somebody had told me earlier: {notes[2]} "
        "If you get stuck, just call; I am happy to come over and have a look with you.\n\n"
        f"Best wishes,\n{sender}",
    )
    yield Pair(
        f'Is this statement about {name} correct? Answer yes or no and give one reason.\n\n"{notes[5]}"',
        f"Yes. {notes[5]} It fits with what else is known: {notes[0][0].lower()}{notes[0][1:]}",
    )
    yield Pair(
        f"Turn this text about {name} into a JSON object with the keys topic, facts (a list of strings) "
        f"and count. Return only the JSON.\n\n{' '.join(notes[:4])}",
        json.dumps({"topic": name, "facts": notes[:4], "count": 4}, indent=2),
    )
    yield Pair(
        f"Write a newspaper column of two paragraphs about {name}: first answer a reader's letter, "
        f"then add some facts. The letter: {subject['question']}",
        f"A reader asks about {name}. {subject['answer']}\n\n"
        f"Some more for those who want to know it exactly. {' '.join(notes)}",
    )


def llama3_counter() -> tuple[str, Callable[[str], int]]:
    """Llama 3's tokenizer as (name and version, text → tokens without the begin-of-text token)."""
    from llama_models.llama3.tokenizer import Tokenizer  # type: ignore[import-not-found]  # not a dependency

    tokenizer = Tokenizer.get_instance()
    name = f"{TOKENIZER} {metadata.version(TOKENIZER)}, llama3/tokenizer.model"
    return name, lambda text: len(tokenizer.encode(text, bos=False, eos=False))


def counted(made: list[Pair], count: Callable[[str], int]) -> list[dict[str, Any]]:
    """The pairs with GuideLLM's column names; ValueError where one is longer than the experiment allows."""
    rows = []
    for pair in made:
        asked, answered = count(pair.prompt), count(pair.response)
        if max(asked, answered) > MOST_TOKENS:
            raise ValueError(f"more than {MOST_TOKENS} tokens: {pair.prompt!r}")
        rows.append({**pair._asdict(), "prompt_tokens_count": asked, "output_tokens_count": answered})
    return rows


def config_map(rows: list[dict[str, Any]], tokenizer: str) -> str:
    """The ConfigMap that a run's `dataset.configMap` names, as YAML with one row a line."""
    sent = ({key: row[key] for key in row if key != "response"} for row in rows)
    body = "".join(f"    {json.dumps(row, ensure_ascii=False)}\n" for row in sent)
    return (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: prompts\n  annotations:\n"
        f'    enginebench.dev/tokenizer: "{tokenizer}"\ndata:\n  prompts.jsonl: |\n{body}'
    )


def main() -> None:
    """Write both files."""
    name, count = llama3_counter()
    rows = counted(pairs(yaml.safe_load(SUBJECTS.read_text("utf-8"))), count)
    PAIRS.parent.mkdir(parents=True, exist_ok=True)
    PAIRS.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    experiment = EXAMPLE.read_text("utf-8").partition(MARKER)[0]
    EXAMPLE.write_text(experiment + MARKER + "---\n" + config_map(rows, name), "utf-8")
    for column in ("prompt_tokens_count", "output_tokens_count"):
        values = sorted(row[column] for row in rows)
        print(f"{column}: {values[0]} to {values[-1]}, mean {sum(values) / len(values):.0f}")
    print(f"{len(rows)} rows, counted with {name}")


if __name__ == "__main__":
    main()
