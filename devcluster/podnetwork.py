"""The pod network of nodes that we built: a bridge on each, and routes between them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from devcluster.engine import Engine
from devcluster.errors import DevclusterError
from devcluster.kubectl import Kubectl

CNI_FILE = "/etc/cni/net.d/10-bridge.conflist"


@dataclass(frozen=True)
class NodeAddress:
    name: str
    address: str
    pods: str  # the node's own part of the pod subnet; empty until it is given one


def addresses(node_list: dict[str, Any]) -> list[NodeAddress]:
    """From `kubectl get nodes -o json`."""
    return [
        NodeAddress(
            name=item["metadata"]["name"],
            address=next(a["address"] for a in item["status"]["addresses"] if a["type"] == "InternalIP"),
            pods=item["spec"].get("podCIDR", ""),
        )
        for item in node_list["items"]
    ]


def bridge_configuration(pods: str) -> dict[str, Any]:
    """CNI's bridge and portmap for one node. No masquerading: a pod keeps its address everywhere."""
    ranges = [[{"subnet": pods}]]
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]},
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "bridge", "plugins": [bridge, portmap]}


def node_script(node: NodeAddress, others: list[NodeAddress]) -> str:
    """What a node's shell is to do; the file is renamed into place, since containerd watches the folder."""
    routes = [f"ip route replace {other.pods} via {other.address}" for other in others if other.name != node.name]
    return "\n".join(
        [
            "set -e",
            f"cat > {CNI_FILE}.draft <<'END'",
            json.dumps(bridge_configuration(node.pods)),
            "END",
            f"mv {CNI_FILE}.draft {CNI_FILE}",
            *routes,
            "",
        ]
    )


def connect(engine: Engine, kubectl: Kubectl, expected: int, seconds: float = 60) -> None:
    """Configure every node. Repeatable; needed again when a node was restarted (its routes are gone)."""
    limit = time.monotonic() + seconds
    while True:
        nodes = addresses(kubectl.get("nodes"))
        if len(nodes) == expected and all(node.pods for node in nodes):
            break
        if time.monotonic() > limit:
            raise DevclusterError(f"Of {expected} nodes only these have a part of the pod subnet: {nodes}")
        time.sleep(0.2)
    for node in nodes:
        engine.docker("exec", "--interactive", node.name, "sh", text=node_script(node, nodes))


def without_outside_names(corefile: str) -> str:
    """A Corefile without `forward` (a block) and `loop`: names from outside fail at once.

    >>> without_outside_names(".:53 {\\n  errors\\n  forward . /etc/resolv.conf {\\n    x 1\\n  }\\n  loop\\n  cache 30\\n}\\n")
    '.:53 {\\n  errors\\n  cache 30\\n}\\n'
    """
    kept, depth = [], 0
    for line in corefile.splitlines():
        words = line.split()
        if depth:
            depth += line.count("{") - line.count("}")
        elif words[:1] == ["forward"]:
            depth = line.count("{") - line.count("}")
        elif words != ["loop"]:
            kept.append(line)
    return "\n".join(kept) + "\n"


def close_dns(kubectl: Kubectl) -> None:
    found = kubectl.get("configmap", "coredns", "--namespace", "kube-system")
    corefile = without_outside_names(found["data"]["Corefile"])
    if corefile != found["data"]["Corefile"]:
        patch = json.dumps({"data": {"Corefile": corefile}})
        kubectl.run("patch", "configmap", "coredns", "--namespace", "kube-system", "--type", "merge", "--patch", patch)
