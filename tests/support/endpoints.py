"""Servers that a user might have standing already: Pods in a test's namespace, behind a Service `server`."""

import base64
from functools import cache
from typing import Any

import trustme

from tests.support.cluster import Manifest

URL = "http://server:8000"
TOKEN = "sk-4711-abcdefghijklmnop"
TOKEN_REF = {"name": "llm-key", "key": "token"}
CA_REF = {"name": "llm-ca", "key": "ca.crt"}

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


def secured_server(image: str, model: str, host: str) -> tuple[Manifest, ...]:
    """A simulated vLLM that speaks TLS as `host`, and asks for TOKEN; with what TOKEN_REF and CA_REF refer to."""
    command = ["python3", "-m", "enginebench", "simulate", "--api", "vLLM", "--model", model, "--port", "8000"]
    pod, service = server(image, [*command, "--api-key", "$(API_KEY)", "--ssl-certfile", "/tls/tls.pem"])
    container: dict[str, Any] = pod["spec"]["containers"][0]
    container["env"] = [{"name": "API_KEY", "valueFrom": {"secretKeyRef": TOKEN_REF}}]
    container["volumeMounts"] = [{"name": "tls", "mountPath": "/tls", "readOnly": True}]
    pod["spec"]["volumes"] = [{"name": "tls", "secret": {"secretName": "server-tls"}}]
    certificate = _authority().issue_cert(host).private_key_and_cert_chain_pem.bytes()
    ca = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CA_REF["name"]},
        "data": {CA_REF["key"]: _authority().cert_pem.bytes().decode()},
    }
    token = _secret(TOKEN_REF["name"], {TOKEN_REF["key"]: TOKEN.encode()})
    return _secret("server-tls", {"tls.pem": certificate}), token, ca, pod, service


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


def _secret(name: str, data: dict[str, bytes]) -> Manifest:
    held = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": held}
