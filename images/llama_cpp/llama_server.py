#!/usr/bin/env python3
"""llama-server's command line, as far as it is used here, over llama.cpp's own HTTP server in the module xllamacpp."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import xllamacpp  # type: ignore[import-not-found]  # it is in the image alone

OPTIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "--host": ("hostnames", lambda text: text.split(",")),
    "--port": ("port", int),
    "--alias": ("model_alias", lambda text: set(text.split(","))),
    "--parallel": ("n_parallel", int),
    "--ctx-size": ("n_ctx", int),
    "--n-gpu-layers": ("n_gpu_layers", int),
    "--verbosity": ("verbosity", int),
}


def parameters(arguments: list[str]) -> xllamacpp.CommonParams:
    """SystemExit with llama-server's own words where one is not known."""
    found = xllamacpp.CommonParams()
    rest = iter(arguments)
    for option in rest:
        if option == "--metrics":
            found.endpoint_metrics = True
        elif option == "--model":
            found.model.path = next(rest, "")
        elif option in OPTIONS:
            name, read = OPTIONS[option]
            setattr(found, name, read(next(rest, "")))
        else:
            sys.exit(f"error: invalid argument: {option}")
    if found.n_gpu_layers > 0:
        print("warning: no usable GPU found, --gpu-layers option will be ignored", file=sys.stderr, flush=True)
    return found


def main() -> None:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        server = xllamacpp.Server(parameters(sys.argv[1:]))
    except RuntimeError:  # the server has said why
        sys.exit(1)
    print(f"llama-server on {server.listening_address}", file=sys.stderr, flush=True)
    ended.wait()
    os._exit(0)  # taking the server down in order waits for the answers under way


if __name__ == "__main__":
    main()
