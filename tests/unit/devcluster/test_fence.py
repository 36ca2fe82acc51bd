"""The fence, as text and for real in a network namespace of its own."""

import os
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from devcluster import fence, settings

ROOT = Path(__file__).resolve().parents[3]


def test_all_addresses_lie_in_the_block_for_benchmarks_and_apart() -> None:
    block = ip_network(settings.ADDRESS_BLOCK)
    parts = [settings.POD_SUBNET, settings.NODE_SUBNET, settings.OTHER_NETWORKS, settings.SERVICE_SUBNET]
    networks = [ip_network(part) for part in parts]
    assert all(network.subnet_of(block) for network in networks)  # type: ignore[arg-type]  # all are IPv4
    assert not any(a.overlaps(b) for a in networks for b in networks if a is not b)
    assert ip_address(settings.NODE_GATEWAY) in ip_network(settings.NODE_SUBNET)


def test_what_stays_inside_is_accepted_before_all_else_is_refused() -> None:
    forward = [rule for rule in fence.IPV4.rules if fence.FORWARD in rule]
    assert forward[0].endswith(f"-s {settings.ADDRESS_BLOCK} -d {settings.ADDRESS_BLOCK} -j ACCEPT")
    assert all(" -j REJECT" in rule for rule in forward[1:])
    assert any(f"-s {settings.ADDRESS_BLOCK} -j" in rule for rule in forward)
    assert any(f"-d {settings.ADDRESS_BLOCK} -j" in rule for rule in forward)


def test_only_our_own_chains_are_emptied() -> None:
    for family in (fence.IPV4, fence.IPV6):
        lines = family.restore_text().splitlines()
        declared = [line for line in lines if line.startswith(":")]
        assert all(line.startswith(f":{fence.CHAIN}-") for line in declared)
        assert lines[0] == "*filter"
        assert lines[-1] == "COMMIT"


LIFE = """
import subprocess, sys
from pathlib import Path
from devcluster import fence
memory = Path(sys.argv[1])
def rules():
    names = ("iptables-save", "ip6tables-save")
    text = "".join(subprocess.run([name], capture_output=True, text=True, check=True).stdout for name in names)
    return [line.split(" [")[0] for line in text.splitlines() if not line.startswith("#")]
run = lambda *words: subprocess.run(words, check=True)
run("ip", "link", "set", "lo", "up")
run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "outside")
run("ip", "address", "add", "192.0.2.2/24", "dev", "uplink")
run("ip", "link", "set", "uplink", "up")
run("ip", "route", "add", "default", "via", "192.0.2.1")
reachable = lambda: subprocess.run(["ip", "route", "get", "198.19.0.1"], capture_output=True).returncode == 0
assert reachable()
for name in ("iptables", "ip6tables"):
    run(name, "-A", "FORWARD", "-m", "comment", "--comment", "the user's own", "-j", "ACCEPT")
fence.FORWARDING.write_text("0")
before = rules()
for _ in range(2):
    fence.put_up(memory)
once = rules()
assert len(fence.remains()) == 11 + 4 + 1, fence.remains()
assert sum("-A FORWARD -j ENGINEBENCH-FORWARD" in rule for rule in once) == 2, once
assert fence.FORWARDING.read_text().strip() == "1"
assert not reachable()
run("ip", "link", "add", fence.BRIDGE, "type", "bridge")
assert f"bridge {fence.BRIDGE}" in fence.remains()
for _ in range(2):
    fence.take_down(memory)
assert fence.remains() == [], fence.remains()
assert reachable()
assert rules() == before, (rules(), before)
assert fence.FORWARDING.read_text().strip() == "0"
print("good")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_the_fence_goes_up_and_down_twice_and_leaves_no_trace(tmp_path: Path) -> None:
    command = ["unshare", "--net", sys.executable, "-c", LIFE, str(tmp_path / "ip_forward")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "iptables-restore" in done.stderr and "not found" in done.stderr:
        pytest.skip("iptables is not installed")
    assert done.stdout == "good\n", done.stderr
