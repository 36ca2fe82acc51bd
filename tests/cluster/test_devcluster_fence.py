"""The fence for real, in a network namespace of its own: here, because an engine of our own brings iptables along."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devcluster.settings import from_environment

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    not from_environment(os.environ, ROOT).engine_data.exists(), reason="no engine of our own on this machine"
)

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


def test_the_fence_goes_up_and_down_twice_and_leaves_no_trace(tmp_path: Path) -> None:
    command = ["unshare", "--net", sys.executable, "-c", LIFE, str(tmp_path / "ip_forward")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "good\n", done.stderr
