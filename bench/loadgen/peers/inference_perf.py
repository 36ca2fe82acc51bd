"""inference-perf: https://github.com/kubernetes-sigs/inference-perf"""

import json
from math import ceil

from bench.loadgen.peers.peer import PROMPT_TOKENS, Peer, document, requests
from bench.loadgen.rows import TOKENS, Reported
from bench.loadgen.tool import Task

REPORTS = "reports"


class InferencePerf(Peer):
    """`time_per_output_token` is a mean of each request; its `inter_token_latency` the raw gaps, pooled."""

    name = "inference-perf"
    settings = "a worker process for each core (load.num_workers)"

    def command(self, task: Task) -> list[str]:
        """Writes its configuration, too. Its random data knows the completions route only."""
        workers = task.cores

        def exactly(tokens: int) -> dict[str, int]:
            return {"min": tokens, "max": tokens, "mean": tokens, "std_dev": 0, "total_count": 500}

        configuration = {
            "api": {"type": "completion", "streaming": True},
            "data": {
                "type": "random",
                "input_distribution": exactly(PROMPT_TOKENS),
                "output_distribution": exactly(TOKENS),
            },
            "load": {
                "type": "concurrent",
                "stages": [{"num_requests": requests(task), "concurrency_level": task.streams}],
                "num_workers": workers,
                "worker_max_concurrency": ceil(task.streams / workers),
            },
            "server": {"type": "vllm", "model_name": task.model, "base_url": task.url, "ignore_eos": True},
            "tokenizer": {"pretrained_model_name_or_path": str(task.tokenizer)},
            "storage": {"local_storage": {"path": str(task.folder / REPORTS)}},
            "report": {"request_lifecycle": {"summary": True, "per_stage": False, "per_request": False}},
        }
        file = task.folder / "configuration.yaml"
        file.write_text(json.dumps(configuration))  # JSON is YAML
        return [str(self.programs / "inference-perf"), "--config_file", str(file)]

    def report(self, task: Task) -> Reported:
        report = document(task.folder / REPORTS, "summary_lifecycle_metrics.json")
        good = report["successes"]
        ttft, tpot, gap = (
            good["latency"][name] for name in ("time_to_first_token", "time_per_output_token", "inter_token_latency")
        )
        return Reported(
            tokens_per_second=good["throughput"]["output_tokens_per_sec"],
            ttft_p50=1000 * ttft["median"],
            ttft_p99=1000 * ttft["p99"],
            itl_p50=1000 * tpot["median"],
            itl_p99=1000 * tpot["p99"],
            gap_p50=1000 * gap["median"],
            gap_p99=1000 * gap["p99"],
            requests=good["count"],
            errors=report.get("failures", {}).get("count", 0),
        )
