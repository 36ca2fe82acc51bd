"""Plans as the operator makes them, with what a test changes."""

from typing import Any

from enginebench.api.loadplan import DatasetPlan, LoadPlan, PointPlan, RequestPlan, Row, SyntheticRows

SYNTHETIC = DatasetPlan(synthetic=SyntheticRows(rows=50, prompt_tokens=8, output_tokens=10))


def plan(url: str = "http://127.0.0.1:1", *, api: Any = "ChatCompletions", **changes: Any) -> LoadPlan:
    """One point of two users for a second, of ten tokens each."""
    settings: dict[str, Any] = {
        "run_uid": "uid",
        "target": "t",
        "attempt": 1,
        "url": url,
        "dialect": "ollama" if api in ("OllamaChat", "OllamaGenerate") else "vllm",
        "model": "tiny",
        "dataset": SYNTHETIC,
        "request": RequestPlan(api=api, max_output_tokens=10),
        "points": (PointPlan(index=0, concurrency=2),),
        "duration_seconds": 1,
        "ramp_seconds": 0,
        "warmup_max_seconds": 5,
        "idle_seconds": 1,
        "startup_seconds": 5,
        "model_download_seconds": 5,
    }
    return LoadPlan(**(settings | changes))


def prompts(*texts: str) -> tuple[Row, ...]:
    return tuple(Row(prompt=text) for text in texts)
