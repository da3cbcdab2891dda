"""SSH targets: which host, as whom, with which host keys, and the bounds of what runs there."""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from app.core.checks import all_of
from app.core.errors import Forbidden, InvalidAction, InvalidField, TargetNotPermitted
from app.core.principals import Permission
from app.core.ssh_action import SshAction, SshExec, SshGet, SshHop, SshPlace, SshPut
from app.core.ssh_asking import MAX_FILE, MAX_HOST, MAX_SSH_SECONDS

MAX_OUTPUT: Final = 4 * 1024 * 1024
MAX_KEYS: Final = 64
MAX_JUMPS: Final = 4
MAX_PATTERNS: Final = 64
MAX_PORT: Final = 65_535
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}\$?")
_HOST: Final = re.compile(r"[a-z0-9:][a-z0-9.:_-]*")
_PATTERN: Final = re.compile(r"[a-z0-9*?][a-z0-9.*?_-]*")
_DIRECTORY: Final = re.compile(r"/[A-Za-z0-9._/-]{0,200}")
_DIGEST: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


class HostNotPinned(Forbidden):
    """No host key is pinned for this host, so that nothing is sent there; enrol it first."""

    code = "host_not_pinned"


class HostNotPermitted(Forbidden):
    """The target does not let agents name this host."""

    code = "host_not_permitted"


@dataclass(frozen=True, slots=True)
class SshSettings:
    """How commands at an SSH target are run.

    :ivar host: its name or address; empty where agents name the host within bounds.
    :ivar host_keys: pins: ``ssh-ed25519 AAAA...`` or ``SHA256:...``; with the host's name and a
        blank before it where agents name the host.
    :ivar ca_keys: keys that may sign host keys (certificates).
    :ivar jumps: hosts on the way, the first one first.
    :ivar seconds: the longest that a command or transfer may take.
    :ivar output_bytes: most bytes of stdout and of stderr that are kept.
    :ivar file_bytes: largest file that is read or written.
    :ivar marker_dir: directory there for markers of runs; empty for none.
    :ivar wrap: the program ``timeout`` there ends a command whose time is over; without it a
        signal is sent, which not every server passes on.
    :ivar hosts: patterns of host names that agents may name, such as ``*.db.example.com``.
    :ivar cidrs: networks in which every address of a host that an agent names must be.
    :ivar profiles: names of command profiles; only what one of them permits wholly can be allowed
        without a person.
    :ivar only_profiles: what none of them permits is denied.
    """

    host: str = ""
    port: int = 22
    user: str = ""
    host_keys: tuple[str, ...] = ()
    ca_keys: tuple[str, ...] = ()
    jumps: tuple[SshHop, ...] = ()
    seconds: int = 60
    output_bytes: int = 1_048_576
    file_bytes: int = 1_048_576
    marker_dir: str = ""
    wrap: bool = True
    hosts: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    only_profiles: bool = False

    @property
    def dynamic(self) -> bool:
        """Whether agents name the host."""
        return bool(self.hosts or self.cidrs)

    @property
    def address(self) -> str:
        """The target's base address, as other kinds of targets have one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{self.user}@{host or '*'}:{self.port}"

    def keys_of(self, host: str) -> tuple[str, ...]:
        """Return the pins of a host."""
        if not self.dynamic:
            return self.host_keys
        lines = (line.partition(" ") for line in self.host_keys)
        return tuple(key for name, _, key in lines if name == host)


def fingerprint(pin: str) -> str:
    """Return the ``SHA256:`` fingerprint of a pin, as ``ssh-keygen -l`` writes it.

    :raises ValueError: it is neither a key nor a fingerprint.
    """
    if _DIGEST.fullmatch(pin):
        return pin
    kind, _, rest = pin.partition(" ")
    data = rest.partition(" ")[0]
    try:
        load_ssh_public_key(f"{kind} {data}".encode("ascii"))
    except (ValueError, UnsupportedAlgorithm, UnicodeEncodeError) as error:
        message = "write a host key as `ssh-ed25519 AAAA...` or its fingerprint `SHA256:...`"
        raise ValueError(message) from error
    digest = hashlib.sha256(b64decode(data)).digest()
    return "SHA256:" + b64encode(digest).decode().rstrip("=")


# --- what an administrator sets ---


def check_ssh(settings: SshSettings) -> None:
    """Refuse settings that could not work as they are meant.

    :raises InvalidField: with a pointer to what must change.
    """
    all_of(
        lambda: _check_host(settings),
        lambda: _check_user(settings.user, ""),
        lambda: _check_port(settings.port, ""),
        lambda: _check_pins(settings.host_keys, "host_keys", named=settings.dynamic),
        lambda: _check_signers(settings.ca_keys),
        lambda: _check_jumps(settings),
        lambda: _check_limits(settings),
        lambda: _check_marker(settings.marker_dir),
    )


def _check_signers(keys: tuple[str, ...]) -> None:
    _check_pins(keys, "ca_keys", named=False)
    if any(key.startswith("SHA256:") for key in keys):
        _refuse("ca_keys", "give a signing key whole, not by its fingerprint")


def _check_marker(folder: str) -> None:
    if folder and not _DIRECTORY.fullmatch(folder):
        _refuse("marker_dir", "give a whole path of letters, digits and . _ / -")


def _check_jumps(settings: SshSettings) -> None:
    if len(settings.jumps) > MAX_JUMPS:
        _refuse("jumps", f"at most {MAX_JUMPS} hosts on the way")
    for place, hop in enumerate(settings.jumps):
        home = f"jumps/{place}/"
        _check_name(hop.host, f"{home}host")
        _check_user(hop.user, home)
        _check_port(hop.port, home)
        _check_pins(hop.keys, f"{home}keys", named=False)
        if not hop.keys:
            _refuse(f"{home}keys", "a host on the way needs a pinned key")


def _check_host(settings: SshSettings) -> None:
    if settings.host and settings.dynamic:
        _refuse("host", "give a host, or hosts and cidrs that agents choose from, not both")
    if not settings.dynamic:
        _check_name(settings.host, "host")
    if settings.hosts and settings.cidrs and settings.jumps:
        _refuse("cidrs", "names are looked up behind the hosts on the way: leave one of them out")
    _check_choice(settings)


def _check_choice(settings: SshSettings) -> None:
    if max(len(settings.hosts), len(settings.cidrs)) > MAX_PATTERNS:
        _refuse("hosts", f"at most {MAX_PATTERNS} patterns and networks")
    for place, pattern in enumerate(settings.hosts):
        if len(pattern) > MAX_HOST or not _PATTERN.fullmatch(pattern):
            _refuse(f"hosts/{place}", "a pattern is a host name in lower case with * and ?")
    for place, text in enumerate(settings.cidrs):
        try:
            ip_network(text)
        except ValueError:
            _refuse(f"cidrs/{place}", f"{text!r} is not a network such as 10.0.0.0/8")


def _check_name(host: str, pointer: str) -> None:
    if len(host) > MAX_HOST or not _HOST.fullmatch(host):
        _refuse(pointer, "give a host name in lower case, or an address")


def _check_user(user: str, home: str) -> None:
    if not _USER.fullmatch(user):
        _refuse(f"{home}user", "give the name of the user to log in as")


def _check_port(port: int, home: str) -> None:
    if not 1 <= port <= MAX_PORT:
        _refuse(f"{home}port", f"a port is 1 to {MAX_PORT}")


def _check_pins(pins: Sequence[str], pointer: str, *, named: bool) -> None:
    if len(pins) > MAX_KEYS:
        _refuse(pointer, f"at most {MAX_KEYS} keys")
    for place, pin in enumerate(pins):
        name, _, rest = pin.partition(" ")
        if named and not _HOST.fullmatch(name):
            _refuse(f"{pointer}/{place}", "begin with the name of the host, then a blank")
        try:
            fingerprint(rest if named else pin)
        except ValueError as error:
            _refuse(f"{pointer}/{place}", str(error))


def _check_limits(settings: SshSettings) -> None:
    for name, value, most in (
        ("seconds", settings.seconds, MAX_SSH_SECONDS),
        ("output_bytes", settings.output_bytes, MAX_OUTPUT),
        ("file_bytes", settings.file_bytes, MAX_FILE),
    ):
        if not 1 <= value <= most:
            _refuse(name, f"{name} is 1 to {most}")


def _refuse(pointer: str, message: str) -> None:
    raise InvalidField(message, pointer=f"/settings/ssh/{pointer}")


# --- what an agent asks ---


def place_of(settings: SshSettings, action: SshAction) -> SshPlace:
    """Return where an action runs.

    :raises InvalidAction: it goes beyond the target's bounds.
    :raises HostNotPermitted: the target does not let this host be named.
    :raises HostNotPinned: there is no key by which the host could be known.
    """
    host = _host(settings, action)
    _check_bounds(settings, action)
    keys = settings.keys_of(host)
    if not keys and not settings.ca_keys:
        raise HostNotPinned
    return SshPlace(
        host=host,
        port=settings.port,
        user=settings.user,
        keys=keys,
        authorities=settings.ca_keys,
        jumps=settings.jumps,
        seconds=settings.seconds,
        output_bytes=settings.output_bytes,
        file_bytes=settings.file_bytes,
        marker_dir=settings.marker_dir,
        wrap=settings.wrap,
        profiles=settings.profiles,
        only_profiles=settings.only_profiles,
    )


def _host(settings: SshSettings, action: SshAction) -> str:
    if not settings.dynamic:
        if action.host:
            message = "this target has one host; do not name one"
            raise InvalidAction(message, pointer="/params/host")
        return settings.host
    if not action.host:
        message = "name the host"
        raise InvalidAction(message, pointer="/params/host")
    if not _permits(settings, action.host):
        raise HostNotPermitted(pointer="/params/host")
    return action.host


def _permits(settings: SshSettings, host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        odd = re.fullmatch(r"[0-9.]+|0x.*", host) is not None or ":" in host
        return not odd and any(fnmatchcase(host, pattern) for pattern in settings.hosts)
    return any(address in ip_network(text) for text in settings.cidrs)


def _check_bounds(settings: SshSettings, action: SshAction) -> None:
    if isinstance(action, SshExec) and action.timeout > settings.seconds:
        message = f"the target lets a command take {settings.seconds} seconds at most"
        raise InvalidAction(message, pointer="/params/timeout")
    if isinstance(action, SshGet) and action.most > settings.file_bytes:
        message = f"the target lets a file have {settings.file_bytes} bytes at most"
        raise InvalidAction(message, pointer="/params/most")
    if isinstance(action, SshPut) and len(action.content) > settings.file_bytes:
        message = f"the target lets a file have {settings.file_bytes} bytes at most"
        raise InvalidAction(message, pointer="/params/content")


def permit_ssh(permissions: tuple[Permission, ...] | None, target: str) -> None:
    """Refuse a target that a key's permissions do not include as a whole (KEY-2).

    Permissions for some methods or paths are about HTTP, and say nothing about commands.

    :raises TargetNotPermitted: naming the target.
    """
    if permissions is None:
        return
    here = [one for one in permissions if one.target == target]
    whole = [one for one in here if not one.methods and not one.paths]
    if not whole or any(one.denied for one in here):
        message = f"this key does not permit commands at {target}"
        raise TargetNotPermitted(message, pointer="/target")


def profiles_of(permissions: tuple[Permission, ...] | None, target: str) -> tuple[str, ...]:
    """Return the command profiles that a key names for a target; none where it permits all."""
    whole = [
        one
        for one in permissions or ()
        if one.target == target and not (one.methods or one.paths or one.denied)
    ]
    if not all(one.profiles for one in whole):
        return ()
    return tuple(dict.fromkeys(name for one in whole for name in one.profiles))
