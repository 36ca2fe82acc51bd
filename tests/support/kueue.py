"""A stand-in for Kueue in a real cluster: its webhook, its Workload, and by hand what its controller does.

As pkg/controller/jobs/pod of its sources: pods with a queue's label get a label, a finalizer and a scheduling gate as
they are created; an admitted one gets the node labels of its flavor as its node selector, and loses the gate; an evicted
one gets the condition TerminationTarget and is deleted.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import trustme

from enginebench.workflow.kueue import JOB_UID, MANAGED, QUEUE, TERMINATED
from tests.support.cluster import Namespace
from tests.support.crds import stand_in
from tests.support.endpoints import server

Manifest = dict[str, Any]
GATE = "kueue.x-k8s.io/admission"
GROUP = "kueue.x-k8s.io"
VERSION = "v1beta2"
"""Of Workload, the newer one; that the operator takes an older Kueue's, too, tests/unit/cluster/test_client.py shows."""
CRD = f"workloads.{GROUP}"
FLAVOR = {"nvidia.com/gpu.present": "true"}
"""A ResourceFlavor's node labels."""

WEBHOOK = """
import base64, http.server, json, ssl

QUEUE, MANAGED, GATE = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/managed", "kueue.x-k8s.io/admission"

def patch(pod):
    if QUEUE not in pod["metadata"].get("labels", {}):
        return []
    return [
        {"op": "add", "path": "/metadata/labels/" + MANAGED.replace("/", "~1"), "value": "true"},
        {"op": "add", "path": "/metadata/finalizers", "value": pod["metadata"].get("finalizers", []) + [MANAGED]},
        {"op": "add", "path": "/spec/schedulingGates", "value": pod["spec"].get("schedulingGates", []) + [{"name": GATE}]},
    ]

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        encoded = base64.b64encode(json.dumps(patch(request["object"])).encode()).decode()
        review["response"] = {"uid": request["uid"], "allowed": True, "patchType": "JSONPatch", "patch": encoded}
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

serving = http.server.ThreadingHTTPServer(("", 8000), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.pem")
serving.socket = context.wrap_socket(serving.socket, server_side=True)
serving.serve_forever()
"""


def webhook_server(image: str, namespace: str) -> tuple[tuple[Mapping[str, Any], ...], Manifest]:
    """What serves the webhook in a namespace, and the configuration that makes the API server ask it about the pods
    there."""
    authority = trustme.CA()
    certificate = authority.issue_cert(f"server.{namespace}.svc").private_key_and_cert_chain_pem.bytes()
    pod, service = server(image, ["python3", "-c", WEBHOOK])
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "tls", "mountPath": "/tls", "readOnly": True}]
    pod["spec"]["volumes"] = [{"name": "tls", "secret": {"secretName": "webhook-tls"}}]
    data = {"tls.pem": base64.b64encode(certificate).decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "webhook-tls"}, "data": data}
    ca = base64.b64encode(authority.cert_pem.bytes()).decode()
    hook: Manifest = {
        "name": "mpod.kueue.test",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "clientConfig": {"caBundle": ca, "service": {"name": "server", "namespace": namespace, "port": 8000}},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "objectSelector": {"matchExpressions": [{"key": QUEUE, "operator": "Exists"}]},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    }
    configuration: Manifest = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": f"kueue-stand-in-{namespace}"},
        "webhooks": [hook],
    }
    return (secret, pod, service), configuration


def workload_crd() -> Manifest:
    """Workload. Without the annotation the API server leaves a group that ends in k8s.io to those who maintain it."""
    approved = {"api-approved.kubernetes.io": "unapproved, a test's stand-in"}
    return stand_in(GROUP, "Workload", version=VERSION, **approved)


def says_why(namespace: Namespace, pod: Manifest, message: str) -> None:
    """The pod's Workload, which waits for quota."""
    meta = pod["metadata"]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"], "controller": True}
    name = f"pod-{meta['name']}"[:58]
    workload = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Workload",
        "metadata": {"name": name, "labels": {JOB_UID: meta["uid"]}, "ownerReferences": [owner]},
    }
    namespace.cluster.apply(workload, namespace=namespace.name)
    waiting = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": message}
    patch = json.dumps({"status": {"conditions": [waiting]}})
    namespace.kubectl("patch", "workload", name, "--subresource=status", "--type=merge", f"--patch={patch}")


def admit(namespace: Namespace, pod: str) -> None:
    """The pod may be scheduled, onto a node of its flavor."""
    patch = json.dumps({"spec": {"nodeSelector": FLAVOR, "schedulingGates": None}})
    namespace.kubectl("patch", "pod", pod, "--type=merge", f"--patch={patch}")


def evict(namespace: Namespace, pod: str, message: str) -> None:
    """The pod loses its quota to another."""
    reason = {"type": TERMINATED, "status": "True", "reason": "WorkloadEvictedDueToPreempted", "message": message}
    patch = json.dumps({"status": {"conditions": [reason]}})
    namespace.kubectl("patch", "pod", pod, "--subresource=status", f"--patch={patch}")
    namespace.kubectl("delete", "pod", pod, "--wait=false")


def release(namespace: Namespace, pod: str) -> None:
    """The finalizer goes, as it does when the pod is over."""
    patch = json.dumps({"metadata": {"finalizers": None}})
    namespace.kubectl("patch", "pod", pod, "--type=merge", f"--patch={patch}")


def managed(pod: Manifest) -> bool:
    return bool(pod["metadata"].get("labels", {}).get(MANAGED) == "true")
