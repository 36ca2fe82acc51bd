"""Files over plain HTTP, faultless or broken in a chosen way: what a registry of models is made of.

Standard library alone: `python -m tests.support.ollama_registry` runs in a Pod of the operator's image as well.
"""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
PIECE = 64 * 1024
LARGE = 256 * 1024
"""Faults befall weights alone: what is smaller than this comes whole."""


class Fault(StrEnum):
    """What becomes of a large file; chosen by the first part of a model's name, `registry:5000/<fault>/tiny`."""

    GOOD = "good"
    SLOW = "slow"
    """`rate` bytes a second."""
    STALLED = "stalled"
    """The first half comes, and then no more byte, however often it is asked for the rest."""
    SILENT = "silent"
    """The head of the response comes, and not one byte of the body."""
    BROKEN = "broken"
    """The connection is closed in the middle, each time after half of what is left."""
    FLAKY = "flaky"
    """The connection is closed in the middle once; the rest comes when it is asked for."""
    CORRUPT = "corrupt"
    """Every byte comes, and one of them is wrong."""
    MISSING = "missing"
    """404 for the model."""
    HOLLOW = "hollow"
    """The model is there, and its large files are 404."""
    FAILING = "failing"
    """500 for the model."""
    DENIED = "denied"
    """401 for the model."""


class FileServer(ThreadingHTTPServer):
    """Serves until `end`; keeps what it was asked."""

    daemon_threads = True

    def __init__(self, where: tuple[str, int], handler: type["FileHandler"], rate: float = 1e6) -> None:
        super().__init__(where, handler)
        self.rate = rate
        self.asked: list[str] = []
        """`GET /path bytes=0-9`, in their order."""
        self.over = threading.Event()
        self.broken_once: set[str] = set()

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client may go at any moment: that is no fault of ours."""


class FileHandler(BaseHTTPRequestHandler):
    """A request; a subclass knows the protocol."""

    protocol_version = "HTTP/1.1"
    server: FileServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class calls it so
        """Nothing: `asked` is kept instead."""

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".rstrip())
        with suppress(BrokenPipeError, ConnectionResetError):
            self.answer()

    do_HEAD = do_GET  # noqa: N815  # the base class calls it so

    def answer(self) -> None:
        """Answer this request."""
        raise NotImplementedError

    def send_body(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """A small response, whole."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_file(self, file: Path, fault: Fault, headers: Mapping[str, str]) -> None:
        """A file or the range of it that is asked for, with its fault."""
        data = file.read_bytes()
        found = _RANGE.fullmatch(self.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        stop = min(int(found[2]) + 1, len(data)) if found and found[2] else len(data)
        self.send_response(206 if found else 200)
        more = {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"} if found else {}
        for name, value in {**headers, **more, "Content-Length": str(stop - start), "Accept-Ranges": "bytes"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._pour(data, start, stop, fault if len(data) >= LARGE else Fault.GOOD)

    def _pour(self, data: bytes, start: int, stop: int, fault: Fault) -> None:
        half = len(data) // 2
        match fault:
            case Fault.STALLED | Fault.SILENT:
                self.wfile.write(data[start:half] if fault is Fault.STALLED else b"")
                self.wfile.flush()
                self.server.over.wait()
            case Fault.BROKEN:
                self.wfile.write(data[start : (start + stop) // 2])
                self.close_connection = True
            case Fault.FLAKY if start == 0 and self.path not in self.server.broken_once:
                self.server.broken_once.add(self.path)
                self.wfile.write(data[:half])
                self.close_connection = True
            case Fault.CORRUPT:
                wrong = bytes([data[-1] ^ 1])
                self.wfile.write(data[start : stop - 1] + (wrong if stop == len(data) else data[stop - 1 : stop]))
            case Fault.SLOW:
                for piece in range(start, stop, PIECE):
                    self.wfile.write(data[piece : min(piece + PIECE, stop)])
                    time.sleep(PIECE / self.server.rate)
            case _:
                self.wfile.write(data[start:stop])


@contextmanager
def running(server: FileServer) -> Iterator[FileServer]:
    """The server at work, on a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
