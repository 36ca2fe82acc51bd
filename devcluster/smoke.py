"""The smoke test: it alone decides whether the cluster is good. "Ready" does not mean that it works."""

from __future__ import annotations

import secrets
import time

import yaml

from devcluster import gpu
from devcluster.errors import DevclusterError
from devcluster.kubectl import Kubectl

REQUESTS = 20  # a good round: none fails and both endpoints answer, which chance alone misses once in 500,000
LOG_LINE = "smoke server is up"
SECONDS = 120.0


def manifests(namespace: str, nodes: list[str], image: str) -> str:
    """A namespace under the restricted profile, one Service, and one pod of it on every node."""
    space = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"selector": {"app": "smoke"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    pods = [_pod(namespace, f"web-{number}", node, image) for number, node in enumerate(nodes)]
    return yaml.safe_dump_all([space, service, *pods])


def _pod(namespace: str, name: str, node: str, image: str) -> dict[str, object]:
    """Web server and client in one; it answers with its own name."""
    serve = f"mkdir /tmp/www; echo {name} > /tmp/www/index.html; echo {LOG_LINE}; exec httpd -f -p 8080 -h /tmp/www"
    container = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", serve],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    metadata = {"name": name, "namespace": namespace, "labels": {"app": "smoke"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def judge_round(answers: str, servers: list[str]) -> str:
    """What is wrong with the answers of one round, one a line; empty if nothing."""
    got = answers.split()
    if len(got) < REQUESTS:
        return f"only {len(got)} of {REQUESTS} requests were answered"
    silent = sorted(set(servers) - set(got))
    return f"no answer came from {', '.join(silent)}" if silent else ""


def test(kubectl: Kubectl, nodes: list[str], gpu_node: str, image: str) -> None:
    """Pods, Service with an endpoint a node from every node, DNS, exec, logs, GPU; DevclusterError if one fails."""
    namespace = f"devcluster-smoke-{secrets.token_hex(3)}"
    servers = [f"web-{number}" for number in range(len(nodes))]
    try:
        text = manifests(namespace, nodes, image)
        kubectl.until("Smoke test, making its pods", 60, "apply", "--filename", "-", text=text)
        wait = ["wait", "--for=condition=Ready", "pod", "--selector=app=smoke", "--timeout=20s"]
        kubectl.until("Smoke test, pods ready", SECONDS, *wait, "--namespace", namespace)
        for server in servers:
            _ask_service(kubectl, namespace, server, servers)
            if LOG_LINE not in kubectl.run("logs", server, "--namespace", namespace):
                raise DevclusterError(f"Smoke test: the log of {server} is without its line.")
        if gpu.advertised(kubectl, gpu_node) < 1:
            raise DevclusterError(f"Smoke test: node {gpu_node} has no {gpu.RESOURCE}.")
    except DevclusterError as error:
        pods = kubectl.attempt("get", "pods,events", "--output", "wide", "--namespace", namespace).output
        raise DevclusterError(f"{error}\n{pods}") from error
    finally:
        kubectl.attempt("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")


def _ask_service(kubectl: Kubectl, namespace: str, client: str, servers: list[str]) -> None:
    """From one pod ask the Service by its short and full names, until one round is good."""
    script = f"i=0; while [ $i -lt {REQUESTS} ]; do timeout 2 wget -q -O - http://$1/ || exit; i=$((i+1)); done"
    limit = time.monotonic() + 30
    for name in ("web", f"web.{namespace}.svc.cluster.local"):
        while True:
            words = ["exec", client, "--namespace", namespace, "--", "sh", "-c", script, "-", name]
            done = kubectl.attempt(*words)
            wrong = judge_round(done.output, servers)
            if not wrong:
                break
            if time.monotonic() > limit:
                raise DevclusterError(f"Smoke test: http://{name}/ from {client}: {wrong}. {done.errors.strip()}")
            time.sleep(0.2)
