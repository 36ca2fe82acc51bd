"""The weights of a tiny Llama, about 3 million of them, under the names that Hugging Face's Llama gives them.

Random weights alone would make a poor engine under test: greedily decoded they fall into repeating one token,
and Ollama ends an answer after 30 equal ones; sampled they meet the end-of-text token sooner or later. So the
output layer is not random: its row for token b is the sum of the embeddings of the tokens that b follows. What
comes after a token is then decided by that token alone, by a wide margin and at any temperature, and the words
of the answer walk round one long circle without the end-of-text token in it. All layers are computed all the same.
"""

import numpy as np

from images.tiny.words import successors, vocabulary

LAYERS, HIDDEN, FEED_FORWARD = 2, 256, 1536
DEEP = "tiny-deep"
FORMS = {"tiny": LAYERS, DEEP: 12}
"""Name → layers. The deep one takes some milliseconds a token, as real models do: of the other's tokens, several come in
the time for which a busy machine holds up whoever reads them."""
# As little attention as there can be: in llama.cpp a slot's tokens attend over the cells of all slots, masked or
# not, and in a model as small as this that would cost more than all the rest.
HEADS, KV_HEADS, HEAD_SIZE = 2, 1, 32
CONTEXT_LENGTH = 32_768
NORM_EPSILON = 1e-5
ROPE_BASE = 10_000.0
WEIGHT_SCALE = 0.02
SUCCESSOR_LOGIT = 40.0
"""The next token's logit; the others' are about 0, and the end-of-text token's is 0 exactly: e^-40 as likely."""

EMBEDDINGS, OUTPUT, OUTPUT_NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"


def output_weights(embeddings: np.ndarray) -> np.ndarray:
    """Row b is the sum of the embeddings of the tokens that b follows, scaled to a length; shape (tokens, hidden)."""
    # What the last layer sees has the length sqrt(hidden), by its normalization.
    length = SUCCESSOR_LOGIT / np.sqrt(embeddings.shape[1])
    scaled = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True) * length
    rows = np.zeros_like(embeddings)
    np.add.at(rows, successors(), scaled)
    return rows


def tensors(seed: int = 0, layers: int = LAYERS) -> dict[str, np.ndarray]:
    """All of them, in 16 bits, each with its shape (outputs, inputs); the same for the same seed."""
    random = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * WEIGHT_SCALE).astype(np.float16)

    ones = np.ones(HIDDEN, np.float16)
    embeddings = random.standard_normal((len(vocabulary()), HIDDEN))
    found = {EMBEDDINGS: embeddings.astype(np.float16)}
    for layer in range(layers):
        block = f"model.layers.{layer}"
        found |= {
            f"{block}.input_layernorm.weight": ones,
            f"{block}.self_attn.q_proj.weight": weights(HEADS * HEAD_SIZE, HIDDEN),
            f"{block}.self_attn.k_proj.weight": weights(KV_HEADS * HEAD_SIZE, HIDDEN),
            f"{block}.self_attn.v_proj.weight": weights(KV_HEADS * HEAD_SIZE, HIDDEN),
            f"{block}.self_attn.o_proj.weight": weights(HIDDEN, HEADS * HEAD_SIZE),
            f"{block}.post_attention_layernorm.weight": ones,
            f"{block}.mlp.gate_proj.weight": weights(FEED_FORWARD, HIDDEN),
            f"{block}.mlp.up_proj.weight": weights(FEED_FORWARD, HIDDEN),
            f"{block}.mlp.down_proj.weight": weights(HIDDEN, FEED_FORWARD),
        }
    return found | {OUTPUT_NORM: ones, OUTPUT: output_weights(embeddings).astype(np.float16)}
