"""The tiny model's tokens, its two forms, and the circle that its answers walk; that the engines run it, tests/engines
shows."""

import json
from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file

from images.tiny import folder, gguf_file, weights, words

TOKENS = words.vocabulary()


def test_tokens_are_distinct_and_cover_every_byte() -> None:
    assert len(set(TOKENS)) == len(TOKENS)
    assert set(words.byte_symbols()) <= set(TOKENS)
    assert len(set(words.byte_symbols())) == 256


def test_every_merge_makes_a_token_of_tokens() -> None:
    for merge in words.merges():
        left, right = merge.split(" ")
        assert {left, right, left + right} <= set(TOKENS)


def test_answers_walk_round_a_circle_of_words_and_never_end() -> None:
    follows = words.successors()
    for start in range(len(TOKENS)):
        walk = [start]
        for _ in range(700):
            walk.append(follows[walk[-1]])
        said = [TOKENS[number] for number in walk[1:]]
        assert all(token[0] == words.BLANK and len(token) == 3 for token in said)
        assert len(set(said)) == 676
        assert all(one != other for one, other in pairwise(said))


def test_the_output_layer_prefers_the_successor_by_far() -> None:
    embeddings = np.random.default_rng(1).standard_normal((len(TOKENS), weights.HIDDEN))
    # What the last layer sees after its normalization: a root mean square of one.
    seen = embeddings / np.sqrt((embeddings**2).mean(axis=1, keepdims=True))
    logits = seen @ weights.output_weights(embeddings).T
    best = np.argsort(logits, axis=1)
    assert not logits[:, words.END].any()
    assert list(best[:, -1]) == words.successors()
    rows = np.arange(len(TOKENS))
    assert (logits[rows, best[:, -1]] - logits[rows, best[:, -2]]).min() > 10


@pytest.fixture
def gguf_path(tmp_path: Path) -> Path:
    gguf_file.write(tmp_path / "tiny.gguf")
    return tmp_path / "tiny.gguf"


def test_the_gguf_is_a_whole_llama_and_always_the_same(gguf_path: Path, tmp_path: Path) -> None:
    gguf_file.write(tmp_path / "again.gguf")
    assert gguf_path.read_bytes() == (tmp_path / "again.gguf").read_bytes()
    reader = gguf.GGUFReader(gguf_path)
    shapes = {tensor.name: tensor.shape.tolist() for tensor in reader.tensors}
    assert len(shapes) == 3 + 9 * weights.LAYERS
    assert shapes["output.weight"] == shapes["token_embd.weight"] == [256, len(TOKENS)]
    assert 3_000_000 < sum(np.prod(shape) for shape in shapes.values()) < 3_500_000


def test_the_folder_is_always_the_same_and_any_user_may_read_it(tmp_path: Path) -> None:
    for name in ("one", "other"):
        folder.write(tmp_path / name)
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o755
    for name in names:
        one, other = tmp_path / "one" / name, tmp_path / "other" / name
        assert one.read_bytes() == other.read_bytes()
        assert one.stat().st_mode & 0o777 == 0o644


def test_both_forms_hold_the_same_weights(gguf_path: Path, tmp_path: Path) -> None:
    folder.write(tmp_path)
    theirs = {tensor.name: tensor.data for tensor in gguf.GGUFReader(gguf_path).tensors}
    ours = load_file(tmp_path / "model.safetensors")
    assert {gguf_file.tensor_name(name) for name in ours} == set(theirs)
    for name, tensor in ours.items():
        other = theirs[gguf_file.tensor_name(name)]
        assert tensor.shape == other.shape
        # Queries and keys have their rows in another order.
        assert np.array_equal(np.sort(tensor, axis=0), np.sort(other, axis=0))


def test_rotary_order_puts_the_two_halves_of_a_head_next_to_one_another() -> None:
    rows = np.arange(8).reshape(8, 1)
    assert gguf_file.rotary_order(rows, heads=2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_both_forms_hold_the_same_tokenizer(gguf_path: Path, tmp_path: Path) -> None:
    folder.write(tmp_path)
    model = json.loads((tmp_path / "tokenizer.json").read_text())["model"]
    fields = gguf.GGUFReader(gguf_path).fields
    assert [token for token, _ in sorted(model["vocab"].items(), key=lambda item: item[1])] == fields[
        "tokenizer.ggml.tokens"
    ].contents()
    assert [" ".join(merge) for merge in model["merges"]] == fields["tokenizer.ggml.merges"].contents()
