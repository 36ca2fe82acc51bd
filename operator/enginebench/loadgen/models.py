"""Which model name is which: the same model goes by several spellings."""

from enginebench.api.loadplan import LoadPlan

_OLLAMA_DEFAULT_TAG = "latest"


def same_ollama_model(one: str, other: str) -> bool:
    """Ollama's names: one without a tag means `latest`."""
    return _tagged(one) == _tagged(other)


def is_wrong(model: str, plan: LoadPlan) -> bool:
    """Whether a response that names this model came from another one than the plan asks for.

    Hosted endpoints answer with a dated version of the name that was asked for, which is no other model.
    """
    if plan.dialect == "ollama":
        return not same_ollama_model(model, plan.model)
    if plan.dialect == "openai":
        return not model.startswith(plan.model)
    return model != plan.model


def _tagged(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:{_OLLAMA_DEFAULT_TAG}"
