"""The two experiments that `make demo` can run."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = "enginebench-demo"


@dataclass(frozen=True, slots=True)
class Show:
    """An example, and what it needs."""

    title: str
    example: Path
    run: str
    """metadata.name of the BenchmarkRun in the example."""
    make: tuple[str, ...]
    """Targets of the Makefile that lay the ground."""
    manifests: tuple[Path, ...] = ()
    """What is applied before the example."""
    builds: str = ""
    """What is built besides cluster and operator, and how long that takes."""
    takes: str = ""


REHEARSAL = Show(
    title="SIMULATED engines, the published experiment's shape",
    example=ROOT / "examples/vllm-vs-ollama-rehearsal.yaml",
    run="vllm-vs-ollama-rehearsal",
    make=("cluster-up", "deploy"),
    takes="2 min",
)
REAL = Show(
    title="real Ollama 0.9.2 on the CPU, one slot against four, a tiny model",
    example=ROOT / "examples/vllm-vs-ollama-real-cpu.yaml",
    run="ollama-one-vs-four",
    make=("cluster-up", "deploy", "ollama"),
    manifests=(ROOT / "demo/tiny-model.yaml",),
    builds="Ollama is compiled from its Go module for this machine's CPU, 2 to 5 min on 2 cores the first time, and put\n"
    "   into the cluster with a tiny model. It wants a C++ compiler.",
    takes="2 min",
)
