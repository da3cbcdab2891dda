"""What the executor of SSH actions is handed, and the exact text that goes to the remote shell."""

import hashlib
import shlex
from dataclasses import dataclass, field
from typing import Final

from app.core.ssh_action import SshAction, SshExec, SshPlace

KILL_AFTER: Final = 5
"""Seconds after its time limit when a command is killed that did not end."""

MARKED: Final = 213
UNMARKED: Final = 214
"""Exit codes of the marker's script when the command was not run, with these words on stderr."""

ALREADY_THERE: Final = "assentry: the marker is there"
NO_MARKER: Final = "assentry: no marker can be written"

_SCRIPT: Final = (
    'if (umask 077; set -C; true >"$1") 2>/dev/null; then :; '
    f"elif [ -e \"$1\" ]; then echo '{ALREADY_THERE}' >&2; exit {MARKED}; "
    f"else echo '{NO_MARKER}' >&2; exit {UNMARKED}; fi; "
    '{run}; s=$?; (umask 077; echo "$s" >"$1.end" && mv "$1.end" "$1"); exit "$s"'
)


@dataclass(frozen=True, slots=True)
class SshIdentity:
    """How to log in: a key, with a certificate where there is one, or a password.

    :ivar passphrase: of the key; empty for a key without one.
    """

    private_key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def digest(self) -> str:
        """Tells connections of one identity from those of another."""
        parts = (self.private_key, self.passphrase, self.certificate, self.password)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SshPlan:
    """Everything an SSH execution needs, frozen from the approved action and its target.

    :ivar networks: CIDRs of private networks that the target opts in to.
    :ivar cidrs: where the agent named the host: networks in which its addresses must be.
    :ivar connect_seconds: limit for looking up, connecting and logging in.
    """

    request_id: str
    action: SshAction
    place: SshPlace
    networks: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
    connect_seconds: float = 10.0

    @property
    def seconds(self) -> int:
        """How long the command or transfer may take."""
        return seconds_of(self.action, self.place)


def seconds_of(action: SshAction, place: SshPlace) -> int:
    """Return how long an action may take there."""
    return (action.timeout if isinstance(action, SshExec) else 0) or place.seconds


def marker_path(place: SshPlace, request_id: str) -> str:
    """Return where a request leaves its marker; only where the place has a directory for them."""
    return f"{place.marker_dir.rstrip('/')}/{request_id}"


def wire_command(action: SshExec, place: SshPlace, request_id: str) -> str:
    """Return the text that is sent for a command.

    The approved text stands in it whole, as one quoted word for the same login shell.
    """
    command = shlex.quote(action.command)
    limit = f"timeout -k {KILL_AFTER} {seconds_of(action, place)} " if place.wrap else ""
    if place.marker_dir:
        script = _SCRIPT.replace("{run}", f'{limit}"$SHELL" -c "$2"')
        marker = shlex.quote(marker_path(place, request_id))
        return f"exec sh -c {shlex.quote(script)} assentry {marker} {command}"
    return f'exec {limit}"$SHELL" -c {command}' if place.wrap else action.command
