"""Servers that a user might have standing already: Pods in a test's namespace, behind a Service `server`."""

import base64

from tests.support.cluster import Manifest

URL = "http://server:8000"

FIRST_ANSWER_ONLY = """
import http.server, itertools, json

count = itertools.count()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, json.dumps({"object": "list", "data": [{"id": "tiny", "object": "model"}]}))

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if next(count):
            return self.answer(500, '{"error": {"message": "the device was lost"}}')
        head = {"object": "chat.completion.chunk", "model": "tiny"}
        chunks = [
            {**head, "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]},
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
            {**head, "choices": [], "usage": {"prompt_tokens": 16, "completion_tokens": 1, "total_tokens": 17}},
        ]
        events = [f"data: {json.dumps(chunk)}\\n\\n" for chunk in chunks]
        self.answer(200, "".join(events) + "data: [DONE]\\n\\n", "text/event-stream")

    def answer(self, status, text, kind="application/json"):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
"""An OpenAI-compatible server of the model `tiny` that answers once, and then fails for ever."""


FILE = """
import base64, http.server, sys

body = base64.b64decode(sys.argv[1])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
"""A server of one file, whatever is asked for."""


def server(image: str, command: list[str]) -> tuple[Manifest, Manifest]:
    """The Pod and its Service."""
    container = {
        "name": "server",
        "image": image,
        "command": command,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    ids = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "server", "labels": {"app": "server"}},
        "spec": {
            "containers": [container],
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": ids,
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server"},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 8000}], "publishNotReadyAddresses": True},
    }
    return pod, service


def failing_server(image: str) -> tuple[Manifest, Manifest]:
    """Serves `tiny`, answers once, and then fails for ever."""
    return server(image, ["python3", "-c", FIRST_ANSWER_ONLY])


def file_server(image: str, body: bytes) -> tuple[Manifest, Manifest]:
    """Serves these bytes at every path."""
    return server(image, ["python3", "-c", FILE, base64.b64encode(body).decode()])


def simulated_server(image: str, model: str) -> tuple[Manifest, Manifest]:
    """A simulated vLLM that serves `model`."""
    command = ["python3", "-m", "enginebench", "simulate", "--api", "vLLM", "--model", model, "--port", "8000"]
    return server(image, command)
