"""Which model name is which: the same model goes by several spellings."""

import re

from enginebench.api.loadplan import LoadPlan

_OLLAMA_DEFAULT_TAG = "latest"
_OLLAMA_HOME = ("registry.ollama.ai/", "library/")
_VERSION = re.compile(r"[-@]\d[\d-]*|:latest")
"""What a hosted endpoint adds to a model's name: `gpt-4o-2024-08-06` for `gpt-4o`."""


def same_ollama_model(one: str, other: str) -> bool:
    """Ollama's names: in any case, one without a tag means `latest`, its own registry need not be named."""
    return _full(one) == _full(other)


def same_model(listed: str, plan: LoadPlan) -> bool:
    """Whether a listed name is the model that the plan asks for, and no longer name that begins alike."""
    return same_ollama_model(listed, plan.model) if plan.dialect == "ollama" else listed == plan.model


def is_wrong(model: str, plan: LoadPlan) -> bool:
    """Whether a response that names this model came from another one than the plan asks for.

    Hosted endpoints answer with a dated version of the name that was asked for, which is no other model.
    """
    if same_model(model, plan):
        return False
    if plan.dialect == "openai" and model.startswith(plan.model):
        return _VERSION.fullmatch(model, len(plan.model)) is None
    return True


def _full(name: str) -> str:
    name = name.casefold()
    for part in _OLLAMA_HOME:
        name = name.removeprefix(part)
    return name if ":" in name.rpartition("/")[2] else f"{name}:{_OLLAMA_DEFAULT_TAG}"
