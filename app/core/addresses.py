"""Which network addresses an outgoing call may reach (T49).

The tables are explicit on purpose: ``ipaddress.is_global`` changes with the Python release and
lets through shared, multicast, translated and cloud-internal addresses. Sources: the IANA IPv4
and IPv6 special-purpose address registries (RFC 6890 and its updates), RFC 4291, RFC 6052.

Three classes, judged in this order:

``NEVER``     no connection has a meaning there, or it hides another address: no opt-in helps.
``GUARDED``   link-local and cloud metadata: only an opt-in of exactly that /32 or /128 opens it.
``INTERNAL``  private, loopback, shared, documentation and the like: a target may opt in by CIDR.

IPv4 inside IPv6 (mapped, compatible) is unwrapped and judged as IPv4. IPv6 outside the global
unicast space 2000::/3 is refused without an opt-in, whatever the tables say.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from app.core.errors import InvalidField

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _table(*networks: str) -> tuple[Network, ...]:
    return tuple(ip_network(network) for network in networks)


NEVER: Final = _table(
    "0.0.0.0/8",  # this network; Linux takes 0.0.0.0 for loopback
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, with limited broadcast 255.255.255.255
    "::/128",  # unspecified
    "64:ff9b:1::/48",  # local-use translation: the IPv4 address inside cannot be read (RFC 8215)
    "100::/64",  # discard-only
    "100:0:0:1::/64",  # dummy prefix
    "2001::/32",  # Teredo
    "ff00::/8",  # multicast
)
"""Refused whatever a target opts in to."""

GUARDED: Final = _table(
    "169.254.0.0/16",  # link-local: 169.254.169.254, 169.254.170.2 and other metadata services
    "100.100.100.200/32",  # Alibaba Cloud metadata
    "168.63.129.16/32",  # Azure platform services
    "192.0.0.192/32",  # Oracle Cloud metadata
    "fe80::/10",  # link-local
    "fd00:ec2::254/128",  # AWS metadata over IPv6
    "fd20:ce::254/128",  # Google Cloud metadata over IPv6
)
"""Opened only by an opt-in that names exactly the one address."""

INTERNAL: Final = _table(
    "10.0.0.0/8",
    "100.64.0.0/10",  # shared address space behind carrier-grade NAT
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.0.0/24",  # IETF protocol assignments
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # automatic multicast tunnelling
    "192.88.99.0/24",  # 6to4 relay
    "192.168.0.0/16",
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarking
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "::1/128",
    "64:ff9b::/96",  # NAT64: the IPv4 address inside is judged as well
    "2001::/23",  # IETF protocol assignments
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4: the IPv4 address inside is judged as well
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
    "5f00::/16",  # segment routing
    "fc00::/7",  # unique local
    "fec0::/10",  # site-local, deprecated
)
"""Refused unless a CIDR that the target opts in to contains the address."""

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_COMPATIBLE: Final = IPv6Network("::/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_LOW_32_BITS: Final = 0xFFFF_FFFF
_LOOPBACK_6: Final = IPv6Address("::1")
_UNSPECIFIED_6: Final = IPv6Address("::")
MAX_NETWORKS: Final = 32
"""How many CIDRs one target may opt in to."""


@lru_cache(maxsize=4096)
def _permitted(address: str, opted_in: tuple[str, ...]) -> bool:
    parsed = _parse(address)
    return parsed is not None and _judge(parsed, _networks(opted_in))


def permitted(address: str, opted_in: Sequence[str] = ()) -> bool:
    """Tell whether a connection to this literal address is allowed.

    :param address: an IPv4 or IPv6 address in its strict text form, without brackets or zone;
        anything else is refused.
    :param opted_in: CIDRs that the target's owner opened; malformed ones open nothing.
    """
    return _permitted(address, tuple(opted_in))


def check_literal(host: str, opted_in: Sequence[str], pointer: str) -> None:
    """Refuse an address in a URL that no connection will be made to; names pass (T49).

    :raises InvalidField: it is an address inside, or ``localhost``, and no network opens it.
    """
    address = "127.0.0.1" if host == "localhost" else host
    if _parse(address) is None or permitted(address, opted_in):
        return
    own = f"{address}/{128 if ':' in address else 32}"
    if not permitted(address, (own,)):
        message = f"{host} is never connected to"
        raise InvalidField(message, pointer=pointer)
    message = f"{host} is not a public address; name its network, such as {own}"
    raise InvalidField(message, pointer=pointer)


def parse_networks(raw: Iterable[str], pointer: str = "/networks") -> tuple[str, ...]:
    """Return the CIDRs of a target's opt-in in normal form.

    :raises InvalidField: for anything but a strict CIDR, for a /0, and for more than
        :data:`MAX_NETWORKS`.
    """
    networks = list(raw)
    if len(networks) > MAX_NETWORKS:
        message = f"at most {MAX_NETWORKS} networks can be opted in to"
        raise InvalidField(message, pointer=pointer)
    return tuple(_strict(text, f"{pointer}/{place}") for place, text in enumerate(networks))


def _strict(text: str, pointer: str) -> str:
    network = _network(text)
    if network is None or network.prefixlen == 0:
        message = "write a network as address/length, with no host bits and not /0"
        raise InvalidField(message, pointer=pointer)
    return str(network)


def _parse(text: str) -> Address | None:
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> Network | None:
    try:
        return None if "%" in text else ip_network(text)
    except ValueError:
        return None


def _networks(texts: Iterable[str]) -> tuple[Network, ...]:
    return tuple(network for text in texts if (network := _network(text)) is not None)


def _judge(address: Address, opened: tuple[Network, ...]) -> bool:
    """Judge the address, and the IPv4 address inside it where there is one."""
    if isinstance(address, IPv6Address):
        if (plain := _unwrapped(address)) is not None:
            return _judge(plain, opened)
        if (inner := _translated(address)) is not None and not _judge(inner, opened):
            return False
    return _judge_alone(address, opened)


def _judge_alone(address: Address, opened: tuple[Network, ...]) -> bool:
    if _within(address, NEVER):
        return False
    if _within(address, GUARDED):
        exact = address.max_prefixlen
        return _within(address, (net for net in opened if net.prefixlen == exact))
    if _within(address, INTERNAL) or _outside_global_unicast(address):
        return _within(address, opened)
    return True


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == net.version and address in net for net in networks)


def _outside_global_unicast(address: Address) -> bool:
    return isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST


def _unwrapped(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that a mapped or compatible IPv6 address stands for."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _COMPATIBLE and address not in (_LOOPBACK_6, _UNSPECIFIED_6):
        return IPv4Address(int(address) & _LOW_32_BITS)
    return None


def _translated(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that a translator or tunnel would connect to."""
    if address in _NAT64:
        return IPv4Address(int(address) & _LOW_32_BITS)
    return address.sixtofour
