"""AIPerf: https://github.com/ai-dynamo/aiperf"""

from bench.loadgen.peers.peer import PROMPT_TOKENS, Peer, document
from bench.loadgen.rows import TOKENS, Reported
from bench.loadgen.tool import Task

GRACE_SECONDS = 10


class AiPerf(Peer):
    """`inter_token_latency` is a mean of each request; `inter_chunk_latency` the raw gaps, pooled."""

    name = "aiperf"
    settings = "tokens by the server's count (--use-server-token-count), a worker for each core (--workers-max)"

    def command(self, task: Task) -> list[str]:
        best = ("--use-server-token-count", "--workers-max", str(task.cores)) if task.mode == "best" else ()
        return [
            *(str(self.programs / "aiperf"), "profile", "--ui", "none", "--random-seed", "1"),
            *("--model", task.model, "--url", task.url, "--endpoint-type", "chat", "--streaming"),
            *("--concurrency", str(task.streams), "--benchmark-duration", str(task.seconds)),
            *("--benchmark-grace-period", str(GRACE_SECONDS), "--isl", str(PROMPT_TOKENS), "--osl", str(TOKENS)),
            *("--tokenizer", str(task.tokenizer), "--artifact-dir", str(task.folder / "artifacts")),
            *("--no-gpu-telemetry", "--no-server-metrics", *best),
        ]

    def environment(self, task: Task) -> dict[str, str]:
        return {name: text for name, text in super().environment(task).items() if name != "HF_HUB_OFFLINE"}

    def report(self, task: Task) -> Reported:
        report = document(task.folder, "artifacts/**/profile_export_aiperf.json")
        ttft, itl, gap = (report[n] for n in ("time_to_first_token", "inter_token_latency", "inter_chunk_latency"))
        return Reported(
            tokens_per_second=report["output_token_throughput"]["avg"],
            ttft_p50=ttft["p50"],
            ttft_p99=ttft["p99"],
            itl_p50=itl["p50"],
            itl_p99=itl["p99"],
            gap_p50=gap["p50"],
            gap_p99=gap["p99"],
            requests=int(report["request_count"]["avg"]),
            errors=int((report.get("error_request_count") or {}).get("avg", 0)),
        )
