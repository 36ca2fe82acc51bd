"""A tiny Llama with random weights, written as GGUF: about 3 million of them, made on the spot.

Random weights alone would make a poor engine under test: greedily decoded they fall into repeating one token,
and Ollama ends an answer after 30 equal ones; sampled they meet the end-of-text token sooner or later. So the
output layer is not random: its row for token b is the sum of the embeddings of the tokens that b follows. What
comes after a token is then decided by that token alone, by a wide margin and at any temperature, and the words
of the answer walk round one long circle without the end-of-text token in it. All layers are computed all the same.
"""

from itertools import product
from pathlib import Path
from string import ascii_lowercase

import gguf
import numpy as np

LAYERS, HIDDEN, FEED_FORWARD = 2, 256, 1536
# As little attention as there can be: a slot's tokens attend over the cells of all slots, masked or not, and in a
# model as small as this that would cost more than all the rest.
HEADS, KV_HEADS, HEAD_SIZE = 2, 1, 32
CONTEXT_LENGTH = 32_768
WEIGHT_SCALE = 0.02
SUCCESSOR_LOGIT = 40.0
"""The next token's logit; the others' are about 0, and the end-of-text token's is 0 exactly: e^-40 as likely."""
SPECIAL = ("<s>", "</s>", "<unk>")
BLANK = "Ġ"
"""How byte-level BPE writes a blank."""


def byte_symbols() -> list[str]:
    """One printable character for each byte: GPT-2's table (bytes_to_unicode in its encoder.py)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = (byte for byte in range(256) if byte not in printable)
    symbols = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return [symbols[byte] for byte in range(256)]


def pairs() -> list[str]:
    """aa to zz."""
    return ["".join(pair) for pair in product(ascii_lowercase, repeat=2)]


def vocabulary() -> list[str]:
    """Specials, the bytes, every pair of letters, and every pair after a blank: 1,611 tokens."""
    return [*SPECIAL, *byte_symbols(), *pairs(), *(BLANK + pair for pair in pairs())]


def merges() -> list[str]:
    """The BPE merges that make the pairs."""
    return [*(f"{pair[0]} {pair[1]}" for pair in pairs()), *(f"{BLANK} {pair}" for pair in pairs())]


def successors() -> list[int]:
    """Which token follows each token. A pair after a blank is followed by the next one; all else leads to them."""
    tokens = vocabulary()
    circle = [number for number, token in enumerate(tokens) if token[0] == BLANK and len(token) > 1]
    follows = [circle[number % len(circle)] for number in range(len(tokens))]
    for number, following in zip(circle, circle[1:] + circle[:1], strict=True):
        follows[number] = following
    return follows


def output_weights(embeddings: np.ndarray) -> np.ndarray:
    """Row b is the sum of the embeddings of the tokens that b follows, scaled to a length; shape (tokens, hidden)."""
    # What the last layer sees has the length sqrt(hidden), by its normalization.
    length = SUCCESSOR_LOGIT / np.sqrt(embeddings.shape[1])
    scaled = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True) * length
    rows = np.zeros_like(embeddings)
    np.add.at(rows, successors(), scaled)
    return rows


def write(path: Path, seed: int = 0) -> None:
    """The same bytes for the same seed."""
    tokens = vocabulary()
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny random Llama")
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD_SIZE)
    writer.add_value_length(HEAD_SIZE)
    writer.add_rope_dimension_count(HEAD_SIZE)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    kinds = [gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * (len(tokens) - len(SPECIAL))
    writer.add_token_types(kinds)
    writer.add_token_merges(merges())
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(2)
    writer.add_add_bos_token(False)

    def weights(name: str, *shape: int) -> None:
        writer.add_tensor(name, (random.standard_normal(shape) * WEIGHT_SCALE).astype(np.float16))

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(HIDDEN, np.float32))

    embeddings = random.standard_normal((len(tokens), HIDDEN))
    writer.add_tensor("token_embd.weight", embeddings.astype(np.float16))
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        ones(f"{block}.attn_norm.weight")
        weights(f"{block}.attn_q.weight", HEADS * HEAD_SIZE, HIDDEN)
        weights(f"{block}.attn_k.weight", KV_HEADS * HEAD_SIZE, HIDDEN)
        weights(f"{block}.attn_v.weight", KV_HEADS * HEAD_SIZE, HIDDEN)
        weights(f"{block}.attn_output.weight", HIDDEN, HEADS * HEAD_SIZE)
        ones(f"{block}.ffn_norm.weight")
        weights(f"{block}.ffn_gate.weight", FEED_FORWARD, HIDDEN)
        weights(f"{block}.ffn_up.weight", FEED_FORWARD, HIDDEN)
        weights(f"{block}.ffn_down.weight", HIDDEN, FEED_FORWARD)
    ones("output_norm.weight")
    writer.add_tensor("output.weight", output_weights(embeddings).astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
