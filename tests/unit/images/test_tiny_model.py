"""The tiny model's tokens and the circle that its answers walk; that Ollama runs it, tests/engines shows."""

from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np

from images.ollama import gguf_model

TOKENS = gguf_model.vocabulary()


def test_tokens_are_distinct_and_cover_every_byte() -> None:
    assert len(set(TOKENS)) == len(TOKENS)
    assert set(gguf_model.byte_symbols()) <= set(TOKENS)
    assert len(set(gguf_model.byte_symbols())) == 256


def test_every_merge_makes_a_token_of_tokens() -> None:
    for merge in gguf_model.merges():
        left, right = merge.split(" ")
        assert {left, right, left + right} <= set(TOKENS)


def test_answers_walk_round_a_circle_of_words_and_never_end() -> None:
    follows = gguf_model.successors()
    for start in range(len(TOKENS)):
        walk = [start]
        for _ in range(700):
            walk.append(follows[walk[-1]])
        said = [TOKENS[number] for number in walk[1:]]
        assert all(token[0] == gguf_model.BLANK and len(token) == 3 for token in said)
        assert len(set(said)) == 676
        assert all(one != other for one, other in pairwise(said))


def test_the_output_layer_prefers_the_successor_by_far() -> None:
    embeddings = np.random.default_rng(1).standard_normal((len(TOKENS), gguf_model.HIDDEN))
    # What the last layer sees after its normalization: a root mean square of one.
    seen = embeddings / np.sqrt((embeddings**2).mean(axis=1, keepdims=True))
    logits = seen @ gguf_model.output_weights(embeddings).T
    best = np.argsort(logits, axis=1)
    assert not logits[:, TOKENS.index("</s>")].any()
    assert list(best[:, -1]) == gguf_model.successors()
    rows = np.arange(len(TOKENS))
    assert (logits[rows, best[:, -1]] - logits[rows, best[:, -2]]).min() > 10


def test_the_file_is_a_whole_llama_and_always_the_same(tmp_path: Path) -> None:
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"
    gguf_model.write(first)
    gguf_model.write(second)
    assert first.read_bytes() == second.read_bytes()
    reader = gguf.GGUFReader(first)
    shapes = {tensor.name: tensor.shape.tolist() for tensor in reader.tensors}
    assert len(shapes) == 3 + 9 * gguf_model.LAYERS
    assert shapes["output.weight"] == shapes["token_embd.weight"] == [256, len(TOKENS)]
    assert 3_000_000 < sum(np.prod(shape) for shape in shapes.values()) < 3_500_000
