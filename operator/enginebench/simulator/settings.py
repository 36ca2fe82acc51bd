"""What a simulated engine is told: its command line."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Api = Literal["vLLM", "Ollama"]

PORTS: dict[Api, int] = {"vLLM": 8000, "Ollama": 11434}

VERSION = "0.0.0-simulated"
"""What the engine answers when asked for its version."""

NATURAL_TOKENS = 128
"""Length of an answer to a request that sets no limit; it ends with `stop`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A simulated engine. Times are nanoseconds, `jitter` and `early_stops` fractions."""

    model: str
    api: Api = "vLLM"
    host: str | None = None
    """Address to listen on; None is every address of the machine."""
    port: int = 0
    """0 takes a free one."""
    slots: int = 32
    """Requests that are answered at the same time."""
    max_queue: int = 512
    """Requests that wait for a slot; more are refused with 503."""
    context_length: int = 8192
    """Tokens of prompt and answer together."""
    prefill_per_token: int = 100_000
    decode_step: int = 10_000_000
    decode_step_per_sequence: int = 100_000
    jitter: float = 0.0
    """How far each time strays from the model, up and down."""
    early_stops: float = 0.0
    """Share of the requests that end by `stop` before their limit (never with `ignore_eos`)."""
    prefix_caching: bool = False
    """vLLM: the beginning of a prompt that was read before takes no time."""
    seed: int = 0
    api_key: str = ""
    """vLLM: the bearer token without which /v1 answers 401; empty: it asks for none."""
    ssl_certfile: str = ""
    """PEM file of the certificate chain; empty: plain HTTP is spoken."""
    ssl_keyfile: str = ""
    pull_bytes: int = 0
    """Ollama: size of the model that has to be pulled first; 0: it is there from the start."""
    pull_seconds: float = 2.0


def parse(argv: Sequence[str]) -> Settings:
    """The settings of a command line; exits with 2 and a sentence where an argument is wrong."""
    parser = argparse.ArgumentParser(
        prog="enginebench simulate",
        description="A SIMULATED engine: answers as vLLM or Ollama would, on the clock of a declared latency model. "
        "A step takes decode-step + decode-step-per-sequence * batch + prefill-per-token * the prompt tokens of "
        "the requests that join in it; every request of the batch gets one token at its end.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    natural, count, percent = _at_least(0), _at_least(1), _at_least(0, 100)
    parser.add_argument("--api", choices=tuple(PORTS), default="vLLM", help="whose API it speaks")
    parser.add_argument("--model", type=_name, required=True, help="the model it claims to serve")
    parser.add_argument("--host", help="address to listen on; every one where absent")
    parser.add_argument("--port", type=_at_least(0, 65535), help="8000 for vLLM and 11434 for Ollama where absent")
    parser.add_argument("--slots", type=count, default=32, help="requests answered at the same time")
    parser.add_argument("--max-queue", type=natural, default=512, help="requests that wait; more get 503")
    parser.add_argument("--context-length", type=count, default=8192, help="tokens of prompt and answer together")
    parser.add_argument("--prefill-microseconds-per-token", type=natural, default=100)
    parser.add_argument("--decode-step-microseconds", type=natural, default=10000)
    parser.add_argument("--decode-step-microseconds-per-sequence", type=natural, default=100)
    parser.add_argument("--jitter-percent", type=percent, default=0, help="how far each time strays, up and down")
    parser.add_argument("--early-stop-percent", type=percent, default=0, help="requests that stop before their limit")
    parser.add_argument("--prefix-caching", action="store_true", help="vLLM: known beginnings of prompts are not read")
    parser.add_argument("--seed", type=int, default=0, help="of jitter, texts and early stops")
    parser.add_argument("--api-key", default="", help="vLLM: the bearer token without which /v1 answers 401")
    parser.add_argument("--ssl-certfile", default="", help="PEM file of the certificate chain: TLS is spoken")
    parser.add_argument("--ssl-keyfile", default="", help="PEM file of its key, where it is not in the same file")
    parser.add_argument("--pull-bytes", type=natural, default=0, help="Ollama: the model is pulled first, this large")
    parser.add_argument("--pull-seconds", type=natural, default=2, help="Ollama: how long the pull takes")
    given = parser.parse_args(argv)
    return Settings(
        model=given.model,
        api=given.api,
        host=given.host,
        port=PORTS[given.api] if given.port is None else given.port,
        slots=given.slots,
        max_queue=given.max_queue,
        context_length=given.context_length,
        prefill_per_token=given.prefill_microseconds_per_token * 1000,
        decode_step=given.decode_step_microseconds * 1000,
        decode_step_per_sequence=given.decode_step_microseconds_per_sequence * 1000,
        jitter=given.jitter_percent / 100,
        early_stops=given.early_stop_percent / 100,
        prefix_caching=given.prefix_caching,
        seed=given.seed,
        api_key=given.api_key,
        ssl_certfile=given.ssl_certfile,
        ssl_keyfile=given.ssl_keyfile,
        pull_bytes=given.pull_bytes,
        pull_seconds=given.pull_seconds,
    )


def _at_least(low: int, high: int | None = None) -> Callable[[str], int]:
    def integer(text: str) -> int:
        value = int(text)
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(
                f"{value} is not {f'{low} or more' if high is None else f'{low} to {high}'}"
            )
        return value

    return integer


def _name(text: str) -> str:
    if not text or not text.isprintable():
        raise argparse.ArgumentTypeError("a model's name is printable text")
    return text
