"""A model is brought onto its claim by the engine's own server, which runs beside us without a GPU."""

from enginebench.api.loadplan import LoadPlan
from enginebench.loadgen.address import Address
from enginebench.loadgen.asking import dialect_of
from enginebench.loadgen.errors import GaveUp
from enginebench.loadgen.speaker import Speaker
from enginebench.loadgen.verify import answering, asked, pulled, served_name
from enginebench.results.messages import ModelReport


async def fetch(plan: LoadPlan, address: Address, speaker: Speaker) -> ModelReport:
    """The model is there; GaveUp says why it is not."""
    dialect = dialect_of(plan, address)
    listed = await answering(plan, dialect, speaker)
    if (served := served_name(plan, listed)) is not None:
        return ModelReport(digest=listed[served], message=f"{plan.model} is on claim {plan.claim} already.")
    came = await pulled(plan, address, speaker)
    listed = dict(await asked(dialect.models()))
    if (served := served_name(plan, listed)) is None:
        raise GaveUp(
            "ModelNotFound", f"Ollama has pulled {plan.model}, and does not list it. Correct the model's name."
        )
    how_much = f"{came.bytes / 1e9:.2f} GB, " if came.bytes else ""
    words = f"{plan.model} is on claim {plan.claim}: {how_much}{came.seconds:.1f} s."
    return ModelReport(seconds=came.seconds, bytes=came.bytes, digest=listed[served], message=words)
