"""The fence, as text; it is put up for real in tests/cluster."""

from ipaddress import ip_address, ip_network

from devcluster import fence, settings


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
