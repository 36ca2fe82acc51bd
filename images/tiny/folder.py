"""The tiny model as the folder that vLLM loads: config.json, model.safetensors and the tokenizer's files."""

import json
from pathlib import Path
from typing import Any

from safetensors.numpy import save

from images.tiny import weights, words

CHAT_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
"""In Jinja."""
OLLAMA_TEMPLATE = "{{ range .Messages }}{{ .Role }}: {{ .Content }}\n{{ end }}assistant:"
"""The same in Go's language: the same messages make the same prompt in both engines."""


def config(layers: int = weights.LAYERS) -> dict[str, Any]:
    """config.json of a Hugging Face Llama."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": weights.HIDDEN,
        "intermediate_size": weights.FEED_FORWARD,
        "num_hidden_layers": layers,
        "num_attention_heads": weights.HEADS,
        "num_key_value_heads": weights.KV_HEADS,
        "head_dim": weights.HEAD_SIZE,
        "max_position_embeddings": weights.CONTEXT_LENGTH,
        "rms_norm_eps": weights.NORM_EPSILON,
        "rope_theta": weights.ROPE_BASE,
        "vocab_size": len(words.vocabulary()),
        "bos_token_id": words.BEGIN,
        "eos_token_id": words.END,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "torch_dtype": "float16",
    }


def tokenizer() -> dict[str, Any]:
    """tokenizer.json: GPT-2's byte-level BPE, and no token put before the text."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": token, **flags} for number, token in enumerate(words.SPECIAL)],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(words.vocabulary())},
            "merges": [merge.split(" ") for merge in words.merges()],
        },
    }


def tokenizer_config() -> dict[str, Any]:
    """tokenizer_config.json."""
    begin, end, unknown = words.SPECIAL
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": begin,
        "eos_token": end,
        "unk_token": unknown,
        "clean_up_tokenization_spaces": False,
        "model_max_length": weights.CONTEXT_LENGTH,
        "chat_template": CHAT_TEMPLATE,
    }


def write(folder: Path, seed: int = 0, layers: int = weights.LAYERS) -> None:
    """Fill the folder, readable for every user ID; the same bytes for the same seed and depth."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    documents = {
        "config.json": config(layers),
        "tokenizer.json": tokenizer(),
        "tokenizer_config.json": tokenizer_config(),
    }
    files = {name: json.dumps(document, indent=1).encode() for name, document in documents.items()}
    files["model.safetensors"] = save(weights.tensors(seed, layers), metadata={"format": "pt"})
    for name, content in files.items():
        path = folder / name
        path.write_bytes(content)
        path.chmod(0o644)
