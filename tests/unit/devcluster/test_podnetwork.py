"""The pod network: addresses from the API server, the nodes' scripts, the closed DNS."""

import json
import subprocess
from pathlib import Path

from devcluster import podnetwork
from devcluster.podnetwork import NodeAddress

NODES = {
    "items": [
        {
            "metadata": {"name": "x-control-plane"},
            "spec": {"podCIDR": "198.18.0.0/24"},
            "status": {
                "addresses": [{"type": "Hostname", "address": "x"}, {"type": "InternalIP", "address": "198.18.136.3"}]
            },
        },
        {
            "metadata": {"name": "x-worker"},
            "spec": {},
            "status": {"addresses": [{"type": "InternalIP", "address": "198.18.136.2"}]},
        },
    ]
}


def test_addresses() -> None:
    assert podnetwork.addresses(NODES) == [
        NodeAddress("x-control-plane", "198.18.136.3", "198.18.0.0/24"),
        NodeAddress("x-worker", "198.18.136.2", ""),
    ]


def test_a_pod_keeps_its_address() -> None:
    bridge, portmap = podnetwork.bridge_configuration("198.18.1.0/24")["plugins"]
    assert bridge["ipMasq"] is False
    assert bridge["ipam"]["ranges"] == [[{"subnet": "198.18.1.0/24"}]]
    assert portmap["type"] == "portmap"


def test_the_script_writes_the_file_and_routes_to_the_others(tmp_path: Path) -> None:
    """Run by a real shell, with the paths moved and `ip` replaced by a recorder."""
    here, there = NodeAddress("a", "198.18.136.2", "198.18.0.0/24"), NodeAddress("b", "198.18.136.3", "198.18.1.0/24")
    file, routes = tmp_path / "net.d" / "bridge.conflist", tmp_path / "routes"
    file.parent.mkdir()
    script = podnetwork.node_script(here, [here, there]).replace(podnetwork.CNI_FILE, str(file))
    subprocess.run(["sh"], input=f'ip() {{ echo "$*" >> {routes}; }}\n{script}', text=True, check=True)
    assert json.loads(file.read_text()) == podnetwork.bridge_configuration("198.18.0.0/24")
    assert [path.name for path in file.parent.iterdir()] == ["bridge.conflist"]
    assert routes.read_text() == "route replace 198.18.1.0/24 via 198.18.136.3\n"


COREFILE = """\
.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
    }
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
    }
    loop
    loadbalance
}
"""


def test_names_from_outside_are_not_asked_for() -> None:
    closed = podnetwork.without_outside_names(COREFILE)
    assert "forward" not in closed
    assert "max_concurrent" not in closed
    assert "loop" not in closed.split()
    assert closed.count("{") == closed.count("}") == 3
    assert {"errors", "kubernetes", "cache", "loadbalance"} <= set(closed.split())
    assert podnetwork.without_outside_names(closed) == closed


def test_a_forward_without_a_block() -> None:
    assert podnetwork.without_outside_names(".:53 {\n  forward . 192.0.2.1\n  errors\n}\n") == ".:53 {\n  errors\n}\n"
