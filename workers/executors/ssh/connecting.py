"""Connections to SSH hosts: addresses checked, host keys pinned, nothing taken from our own side.

No secret is used before the host has shown one of the pinned keys (T51). The files, agents and
keys of the user that runs us are never looked at (T52).
"""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Final

import asyncssh
from asyncssh.public_key import get_default_public_key_algs

from app.core.outcome import NotStarted
from app.core.ssh_action import SshHop
from app.core.ssh_plan import SshIdentity, SshPlan
from app.core.ssh_target import fingerprint
from workers.executors.resolving import AddressRefused, Lookup, checked_addresses, system_lookup

logging.getLogger("asyncssh").setLevel(logging.ERROR)  # it logs commands, which are not for logs

_FINGERPRINT: Final = "SHA256:"
_KEEPALIVE: Final = 15
_CIPHERS: Final = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""First choices, before the library's own: a command takes a quarter less of our processor time."""

_DOWN: Final = "The host could not be reached."
_LOST: Final = "The connection was lost while logging in."
_SLOW: Final = "The host did not answer in time."
_DENIED: Final = "The host did not let the user in with the target's credential."
_KEY: Final = "The credential cannot be read as a key."
_ADDRESS: Final = "An address of the host may not be connected to."


class _Pinned(asyncssh.SSHClient):
    """Lets in the hosts whose keys are pinned by fingerprint, and remembers what was shown."""

    def __init__(self, prints: frozenset[str], authorities: frozenset[str]) -> None:
        self.prints = prints
        self.authorities = authorities
        self.shown = ""

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Whether the key is one of the pinned ones."""
        del host, addr, port
        self.shown = key.get_fingerprint()
        return self.shown in self.prints

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Whether the authority is one of the pinned ones."""
        del host, addr, port
        self.shown = key.get_fingerprint()
        return self.shown in self.authorities


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection, and those that it goes through."""

    connection: asyncssh.SSHClientConnection
    through: tuple[asyncssh.SSHClientConnection, ...] = field(default=())

    @property
    def alive(self) -> bool:
        """Whether it can still be used, as far as is known."""
        return not self.connection.is_closed()

    def close(self) -> None:
        """Close it, then those that it goes through."""
        for one in (self.connection, *reversed(self.through)):
            one.close()

    async def closed(self) -> None:
        """Wait until everything is closed."""
        for one in (self.connection, *reversed(self.through)):
            await one.wait_closed()


async def connect(
    plan: SshPlan, identity: SshIdentity, lookup: Lookup = system_lookup
) -> Connected:
    """Return a connection that is logged in.

    :raises NotStarted: it could not be made; nothing of the action was sent.
    """
    place = plan.place
    end = SshHop(place.host, place.port, place.user, place.keys)
    made: list[asyncssh.SSHClientConnection] = []
    known = _credentials(identity)
    try:
        async with asyncio.timeout(plan.connect_seconds):
            first = (*place.jumps, end)[0]
            sock = await reach(plan, first, lookup)
            for hop in (*place.jumps, end):
                authorities = place.authorities if hop is end else ()
                way: dict[str, Any] = {"sock": sock} if not made else {"tunnel": made[-1]}
                made.append(await _login(hop, authorities, known, plan.connect_seconds, way))
    except BaseException as error:
        for one in reversed(made):
            one.abort()
        if isinstance(error, TimeoutError):
            raise NotStarted("connect_timeout", _SLOW) from error
        raise
    return Connected(made[-1], tuple(made[:-1]))


async def reach(plan: SshPlan, hop: SshHop, lookup: Lookup) -> socket.socket:
    """Return a socket that is connected to a checked address of the host."""
    try:
        found = await checked_addresses(lookup, hop.host, hop.port, plan.networks)
    except AddressRefused:
        raise NotStarted("address_refused", _ADDRESS, retryable=False) from None
    except OSError as error:
        raise NotStarted("dns_failed", "The host's name could not be looked up.") from error
    if plan.cidrs and not plan.place.jumps and not all(_inside(one, plan.cidrs) for one in found):
        raise NotStarted("address_refused", _ADDRESS, retryable=False)
    for address in found:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)  # noqa: FBT003 - the name of the argument is no help
        try:
            await asyncio.get_running_loop().sock_connect(sock, (address, hop.port))
        except OSError:
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise NotStarted("connect_failed", _DOWN)


def _inside(address: str, cidrs: Sequence[str]) -> bool:
    return any(ip_address(address) in ip_network(text) for text in cidrs)


async def _login(
    hop: SshHop,
    authorities: tuple[str, ...],
    known: dict[str, Any],
    seconds: float,
    way: dict[str, Any],
) -> asyncssh.SSHClientConnection:
    client = _Pinned(
        frozenset(map(fingerprint, hop.keys)), frozenset(map(fingerprint, authorities))
    )
    try:
        return await asyncssh.connect(
            hop.host, hop.port, **way, **options(hop.user, client, hop.keys, authorities),
            **known, login_timeout=seconds,
        )  # fmt: skip
    except asyncssh.HostKeyNotVerifiable as error:
        raise _unknown_key(hop, client) from error
    except asyncssh.KeyExchangeFailed as error:
        raise _unknown_key(hop, client) from error
    except asyncssh.PermissionDenied as error:
        raise NotStarted("login_refused", _DENIED, retryable=False) from error
    except asyncssh.ChannelOpenError as error:
        raise NotStarted("connect_failed", _DOWN) from error
    except (asyncssh.Error, OSError) as error:
        raise NotStarted("connection_lost", _LOST) from error


def _unknown_key(hop: SshHop, client: _Pinned) -> NotStarted:
    """Return the refusal of a host with another key, or without one of the pinned type."""
    shown = f"It showed {client.shown}." if client.shown else "It has no key of a pinned type."
    detail = (
        f"{hop.host}:{hop.port} did not show a pinned host key. {shown} Nothing was sent. "
        "Enrol the host again if that is right."
    )
    return NotStarted("host_key_changed", detail, retryable=False)


def options(
    user: str, client: asyncssh.SSHClient, keys: Sequence[str], authorities: Sequence[str]
) -> dict[str, Any]:
    """Return the options of every connection: only what is said here is used."""
    whole = [asyncssh.import_public_key(key) for key in keys if not key.startswith(_FINGERPRINT)]
    trusted = [asyncssh.import_public_key(key) for key in authorities]
    found: dict[str, Any] = {
        "username": user,
        "client_factory": lambda: client,
        "known_hosts": (whole, trusted, []),
        "config": None,
        "agent_path": None,
        "agent_forwarding": False,
        "x11_forwarding": False,
        "pkcs11_provider": None,
        "gss_kex": False,
        "gss_auth": False,
        "request_pty": False,
        "send_env": None,
        "keepalive_interval": _KEEPALIVE,
        "compression_algs": ["none"],
        "encryption_algs": _CIPHERS,
    }
    if len(whole) < len(keys) and not trusted:
        plain = [name.decode("ascii") for name in get_default_public_key_algs()]
        found["server_host_key_algs"] = plain
    return found


def _credentials(identity: SshIdentity) -> dict[str, Any]:
    if not identity.private_key:
        return {"client_keys": None, "password": identity.password or None}
    try:
        key = asyncssh.import_private_key(identity.private_key, identity.passphrase or None)
        if not identity.certificate:
            return {"client_keys": [key], "password": None}
        pair = (key, asyncssh.import_certificate(identity.certificate))
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
        raise NotStarted("credential_unreadable", _KEY, retryable=False) from error
    return {"client_keys": [pair], "password": None}


@asynccontextmanager
async def opened(connected: Connected) -> AsyncGenerator[Connected]:
    """Close a connection at the end."""
    try:
        yield connected
    finally:
        connected.close()
        await connected.closed()
