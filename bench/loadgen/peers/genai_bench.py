"""GenAI Bench: https://github.com/sgl-project/genai-bench"""

from bench.loadgen.peers.peer import PROMPT_TOKENS, Peer, document, requests
from bench.loadgen.rows import TOKENS, Reported
from bench.loadgen.tool import Task

RUN = "run"
MINUTES = "4"
"""Its own bound of time counts in minutes; the number of requests ends it before."""


class GenAiBench(Peer):
    """`tpot` is a mean of each request. Raw gaps are not told."""

    name = "genai-bench"
    settings = "a worker process for each core (--num-workers)"

    def command(self, task: Task) -> list[str]:
        best = ("--num-workers", str(task.cores)) if task.mode == "best" else ()
        return [
            *(str(self.programs / "genai-bench"), "benchmark", "--api-backend", "vllm", "--api-base", task.url),
            *("--api-key", "none", "--api-model-name", task.model, "--model-tokenizer", str(task.tokenizer)),
            *("--task", "text-to-text", "--traffic-scenario", f"D({PROMPT_TOKENS},{TOKENS})"),
            *("--num-concurrency", str(task.streams), "--max-time-per-run", MINUTES),
            *("--max-requests-per-run", str(requests(task))),
            *("--experiment-base-dir", str(task.folder), "--experiment-folder-name", RUN),
            *("--server-engine", "vLLM", "--server-gpu-type", "H100", "--server-version", "1"),
            *("--server-gpu-count", "1", *best),
        ]

    def report(self, task: Task) -> Reported:
        metrics = document(task.folder / RUN, "D*_num_concurrency_*.json")["aggregated_metrics"]
        ttft, tpot = metrics["stats"]["ttft"], metrics["stats"]["tpot"]
        return Reported(
            tokens_per_second=metrics["mean_output_throughput_tokens_per_s"],
            ttft_p50=1000 * ttft["p50"],
            ttft_p99=1000 * ttft["p99"],
            itl_p50=1000 * tpot["p50"],
            itl_p99=1000 * tpot["p99"],
            requests=metrics["num_completed_requests"],
            errors=metrics["num_error_requests"],
        )
