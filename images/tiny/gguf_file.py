"""The tiny model as GGUF, which Ollama and llama.cpp load."""

from pathlib import Path

import gguf
import numpy as np

from images.tiny import folder, weights, words

_NAMES = {
    weights.EMBEDDINGS: "token_embd",
    weights.OUTPUT_NORM: "output_norm",
    weights.OUTPUT: "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def tensor_name(name: str) -> str:
    """llama.cpp's name of a tensor.

    >>> tensor_name("model.layers.1.mlp.up_proj.weight")
    'blk.1.ffn_up.weight'
    """
    if name in _NAMES:
        return f"{_NAMES[name]}.weight"
    layer, _, part = name.removeprefix("model.layers.").removesuffix(".weight").partition(".")
    return f"blk.{layer}.{_NAMES[part]}.weight"


def rotary_order(tensor: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys in llama.cpp's order: rotary embedding turns neighbours there, halves elsewhere."""
    rows, columns = tensor.shape
    return tensor.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write(path: Path, seed: int = 0, layers: int = weights.LAYERS) -> None:
    """The same bytes for the same seed and depth."""
    tokens = words.vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny random Llama")
    writer.add_context_length(weights.CONTEXT_LENGTH)
    writer.add_embedding_length(weights.HIDDEN)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(weights.FEED_FORWARD)
    writer.add_head_count(weights.HEADS)
    writer.add_head_count_kv(weights.KV_HEADS)
    writer.add_key_length(weights.HEAD_SIZE)
    writer.add_value_length(weights.HEAD_SIZE)
    writer.add_rope_dimension_count(weights.HEAD_SIZE)
    writer.add_layer_norm_rms_eps(weights.NORM_EPSILON)
    writer.add_rope_freq_base(weights.ROPE_BASE)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    ordinary = len(tokens) - len(words.SPECIAL)
    writer.add_token_types([*[gguf.TokenType.CONTROL] * len(words.SPECIAL), *[gguf.TokenType.NORMAL] * ordinary])
    writer.add_token_merges(words.merges())
    writer.add_bos_token_id(words.BEGIN)
    writer.add_eos_token_id(words.END)
    writer.add_unk_token_id(words.UNKNOWN)
    writer.add_add_bos_token(False)
    writer.add_chat_template(folder.CHAT_TEMPLATE)  # for llama.cpp; Ollama has its own
    heads = {"q_proj": weights.HEADS, "k_proj": weights.KV_HEADS}
    for name, tensor in weights.tensors(seed, layers).items():
        turned = next((count for part, count in heads.items() if part in name), None)
        data = rotary_order(tensor, turned) if turned else tensor
        # llama.cpp keeps norms in 32 bits.
        writer.add_tensor(tensor_name(name), data.astype(np.float32) if data.ndim == 1 else data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
