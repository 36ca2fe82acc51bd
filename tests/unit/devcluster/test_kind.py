"""kind's configuration, the nodes as docker lists them, and the mark of a good cluster."""

import json
from pathlib import Path

import pytest

from devcluster import gpu, kind
from devcluster.settings import POD_SUBNET, SERVICE_SUBNET


@pytest.mark.parametrize("own_network", [True, False])
def test_every_address_is_ours_and_only_the_public_image_brings_its_network(own_network: bool) -> None:
    config = kind.configuration("x", own_network)
    assert config["networking"]["disableDefaultCNI"] is own_network
    assert config["networking"]["podSubnet"] == POD_SUBNET
    assert config["networking"]["serviceSubnet"] == SERVICE_SUBNET
    assert config["featureGates"] == {"MutatingAdmissionPolicy": True}
    assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker"]


def test_only_the_worker_has_the_gpus_labels() -> None:
    control_plane, worker = kind.configuration("x", own_network=True)["nodes"]
    assert "labels" not in control_plane
    assert worker["labels"]["nvidia.com/gpu.product"] == "NVIDIA-A100-PCIE-40GB"
    assert all(isinstance(value, str) for value in gpu.LABELS.values())


def row(name: str, state: str, identity: str) -> str:
    return json.dumps({"ID": identity, "Names": name, "State": state, "Image": "localhost/node:1"})


def test_nodes_are_parsed_control_plane_first() -> None:
    listing = "\n".join([row("x-worker", "exited", "b2"), row("x-control-plane", "running", "a1"), ""])
    nodes = kind.parse_nodes(listing)
    assert nodes == [
        kind.Node("a1", "x-control-plane", True, "localhost/node:1"),
        kind.Node("b2", "x-worker", False, "localhost/node:1"),
    ]
    assert kind.parse_nodes("\n") == []


def test_only_the_very_containers_that_passed_are_ready(tmp_path: Path) -> None:
    mark = tmp_path / "clusters" / "x.json"
    nodes = kind.parse_nodes("\n".join([row("x-control-plane", "running", "a1"), row("x-worker", "running", "b2")]))
    assert not kind.marked_ready(mark, nodes)
    kind.mark_ready(mark, nodes)
    assert kind.marked_ready(mark, nodes[::-1])
    assert not kind.marked_ready(mark, nodes[:1])
    assert not kind.marked_ready(mark, kind.parse_nodes(row("x-control-plane", "running", "made-anew")))
    assert not kind.marked_ready(mark, [])


@pytest.mark.parametrize("text", ["", "[", "{}"])
def test_a_broken_mark_is_no_mark(tmp_path: Path, text: str) -> None:
    mark = tmp_path / "x.json"
    mark.write_text(text)
    assert not kind.marked_ready(mark, kind.parse_nodes(row("x-worker", "running", "b2")))
