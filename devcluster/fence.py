"""The fence: nothing of the cluster leaves this machine, and nothing enters it.

The engine is started with its own packet filtering off, so that these rules are
all there are, in chains of our own that `remove` takes away without a trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from devcluster import process
from devcluster.settings import ADDRESS_BLOCK, BRIDGE

CHAIN = "ENGINEBENCH"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True)
class Filter:
    """The rules of one family: `rules` fill chains of ours, `hooks` lead packets into them."""

    program: str  # iptables or ip6tables
    chains: tuple[str, ...]
    rules: tuple[str, ...]
    hooks: tuple[tuple[str, str], ...]  # (built-in chain, our chain)

    def restore_text(self) -> str:
        """Input for `iptables-restore --noflush`: our chains emptied and filled in one step."""
        declared = [f":{chain} - [0:0]" for chain in self.chains]
        return "\n".join(["*filter", *declared, *self.rules, "COMMIT", ""])


FORWARD, INPUT = f"{CHAIN}-FORWARD", f"{CHAIN}-INPUT"

IPV4 = Filter(
    program="iptables",
    chains=(FORWARD, INPUT),
    rules=(
        # Between nodes, where the host's own policy may be DROP.
        f"-A {FORWARD} -s {ADDRESS_BLOCK} -d {ADDRESS_BLOCK} -j ACCEPT",
        # A Service address that kube-proxy has not programmed yet would go out by the default route.
        # TCP is reset: ICMP answers are few, the kernel limits them by destination.
        f"-A {FORWARD} -s {ADDRESS_BLOCK} -p tcp -j REJECT --reject-with tcp-reset",
        f"-A {FORWARD} -s {ADDRESS_BLOCK} -j REJECT",
        f"-A {FORWARD} -i {BRIDGE} -j REJECT",  # whatever its source says
        f"-A {FORWARD} -d {ADDRESS_BLOCK} -j REJECT",
        # A resolver on the host would ask the outside world for the cluster: names fail at once instead.
        f"-A {INPUT} -s {ADDRESS_BLOCK} -p udp -m udp --dport 53 -j REJECT",
        f"-A {INPUT} -s {ADDRESS_BLOCK} -p tcp -m tcp --dport 53 -j REJECT",
    ),
    hooks=(("FORWARD", FORWARD), ("INPUT", INPUT)),
)

IPV6 = Filter(
    program="ip6tables",
    chains=(FORWARD,),
    rules=(f"-A {FORWARD} -i {BRIDGE} -j REJECT", f"-A {FORWARD} -o {BRIDGE} -j REJECT"),
    hooks=(("FORWARD", FORWARD),),
)

# What no interface of ours answers for is unreachable; the nodes' bridge is a narrower route and wins.
ROUTE = ("unreachable", ADDRESS_BLOCK)


def filters() -> tuple[Filter, ...]:
    return (IPV4, IPV6) if Path("/proc/net/if_inet6").exists() else (IPV4,)


def put_up(memory: Path) -> None:
    """Set the rules and the route. Repeatable. `memory` keeps what the machine's forwarding was."""
    for family in filters():
        process.run([f"{family.program}-restore", "--wait", "--noflush"], text=family.restore_text())
        for builtin, ours in family.hooks:
            if not process.attempt([family.program, "--wait", "-C", builtin, "-j", ours]).ok:
                process.run([family.program, "--wait", "-I", builtin, "1", "-j", ours])
    process.run(["ip", "route", "replace", *ROUTE])
    # With forwarding the host answers "unreachable" at once for a foreign address; without, packets
    # vanish and clients wait for their time-outs. The rules are up before it is.
    if not memory.exists():
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(FORWARDING.read_text())
    FORWARDING.write_text("1")


def take_down(memory: Path) -> None:
    """Remove every rule, the route and the bridge, and give forwarding its old value. Repeatable."""
    if process.which("ip") is None:
        return
    if memory.exists():
        FORWARDING.write_text(memory.read_text())
        memory.unlink()
    for family in filters():
        if process.which(family.program) is None:
            continue
        for builtin, ours in family.hooks:
            while process.attempt([family.program, "--wait", "-D", builtin, "-j", ours]).ok:
                pass
        for chain in family.chains:
            process.attempt([family.program, "--wait", "-F", chain])
            process.attempt([family.program, "--wait", "-X", chain])
    if _bridge_exists():
        process.run(["ip", "link", "delete", BRIDGE])
    process.attempt(["ip", "route", "delete", *ROUTE])


def remains() -> list[str]:
    """What of the fence is still there, in words; empty after `take_down`."""
    found = []
    for family in filters():
        rules = process.attempt([family.program, "--wait", "-S"]).output.splitlines()
        found += [f"{family.program} {rule}" for rule in rules if CHAIN in rule]
    routes = process.attempt(["ip", "route", "show", "type", "unreachable"]).output.splitlines()
    found += [f"route {route.strip()}" for route in routes if ADDRESS_BLOCK in route]
    if _bridge_exists():
        found.append(f"bridge {BRIDGE}")
    return found


def _bridge_exists() -> bool:
    return process.attempt(["ip", "link", "show", "dev", BRIDGE]).ok
