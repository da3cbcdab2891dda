"""``cidr``: an IP address as text, in one of these networks (IPv4 and IPv6)."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from app.core.conditions.base import Condition, Kind, Spec, Tri, leaf
from app.core.conditions.reading import below, refuse, shown, texts

_MAX_NETWORKS: Final = 200
_MAX_ADDRESS: Final = 64
_V6: Final = 6

_Network: TypeAlias = IPv4Network | IPv6Network
_Address: TypeAlias = IPv4Address | IPv6Address


def _cidr(spec: Spec) -> Condition:
    written = texts(spec.value, spec.pointer, _MAX_NETWORKS, _MAX_ADDRESS)
    networks = tuple(_network(item, below(spec.pointer, at)) for at, item in enumerate(written))

    def test(value: object) -> Tri:
        if not isinstance(value, str) or len(value) > _MAX_ADDRESS or "%" in value:
            return None
        address = unwrapped(ip_address(value))
        return any(address in network for network in networks)

    return leaf(spec, "cidr", f"is an address in {shown(', '.join(written))}", test)


def unwrapped(address: _Address) -> _Address:
    """Return the IPv4 address inside an IPv4-mapped IPv6 one, else the address itself."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _network(item: str, pointer: str) -> _Network:
    try:
        network = ip_network(item)
    except ValueError as error:
        refuse(f"not a network such as 10.0.0.0/8 or 2001:db8::/32: {error}", pointer)
    if network.version == _V6 and str(network.network_address).startswith("::ffff:"):
        refuse("write IPv4-mapped networks as IPv4", pointer)
    return network


KINDS: Final = (
    Kind(
        "cidr",
        "operator",
        "An IP address in one of these networks; IPv4-mapped IPv6 counts as IPv4.",
        {"remote_ip": {"cidr": ["10.0.0.0/8", "2001:db8::/32"]}},
        _cidr,
    ),
)
