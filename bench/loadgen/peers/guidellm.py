"""GuideLLM 0.8: https://github.com/vllm-project/guidellm"""

from bench.loadgen.peers.peer import PROMPT_TOKENS, Peer, document
from bench.loadgen.rows import TOKENS, Reported
from bench.loadgen.tool import Task


class GuideLlm(Peer):
    """`inter_token_latency_ms` is a mean of each request, weighted by its tokens."""

    name = "guidellm"
    settings = "a worker process for each core (GUIDELLM__MAX_WORKER_PROCESSES)"

    def command(self, task: Task) -> list[str]:
        return [
            *(str(self.programs / "guidellm"), "run", "--disable-console-interactive"),
            *("--backend", f"kind=openai_http,target={task.url},model={task.model}"),
            *("--profile", f"kind=concurrent,streams={task.streams}"),
            *("--constraint", f"kind=max_duration,seconds={task.seconds}"),
            *("--data", f"kind=synthetic_text,prompt_tokens={PROMPT_TOKENS},output_tokens={TOKENS}"),
            *("--tokenizer", f"kind=huggingface_auto,model={task.tokenizer}"),
            *("--output", f"kind=json,path={task.folder / 'report.json'}"),
        ]

    def environment(self, task: Task) -> dict[str, str]:
        return {**super().environment(task), "GUIDELLM__MAX_WORKER_PROCESSES": str(task.cores)}

    def report(self, task: Task) -> Reported:
        metrics = document(task.folder, "report.json")["benchmarks"][0]["metrics"]
        ttft = metrics["time_to_first_token_ms"]["successful"]["percentiles"]
        itl = metrics["inter_token_latency_ms"]["successful"]["percentiles"]
        totals = metrics["request_totals"]
        return Reported(
            tokens_per_second=metrics["output_tokens_per_second"]["successful"]["mean"],
            ttft_p50=ttft["p50"],
            ttft_p99=ttft["p99"],
            itl_p50=itl["p50"],
            itl_p99=itl["p99"],
            requests=totals["successful"],
            errors=totals["errored"],
        )
