"""What an agent wants done over SSH: a command, or a file read or written (SSH-1, SSH-6).

A command is one text. It goes to the login shell on the other side exactly as it stands here, so
that what a person read is what the shell reads (threat T50).
"""

import base64
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import ClassVar, Final, TypeAlias, cast

from app.core.action_kinds import Kind
from app.core.json_types import JsonObject, JsonValue

SSH_EXEC: Final = "ssh.exec"
SSH_GET: Final = "ssh.get"
SSH_PUT: Final = "ssh.put"


@dataclass(frozen=True, slots=True)
class SshExec:
    """One command.

    :ivar command: the exact text for the remote login shell.
    :ivar stdin: what the command reads; None closes its standard input at once.
    :ivar timeout: seconds that it may take; 0 is the target's limit.
    :ivar host: where a target lets the agent name the host; empty elsewhere.
    """

    command: str
    stdin: bytes | None = None
    timeout: int = 0
    host: str = ""

    kind: ClassVar[Kind] = Kind.SSH
    name: ClassVar[str] = SSH_EXEC


@dataclass(frozen=True, slots=True)
class SshGet:
    """One file that is read.

    :ivar most: largest size in bytes; 0 is the target's limit.
    :ivar sha256: the only content that is accepted, in hex; empty for any.
    """

    path: str
    most: int = 0
    sha256: str = ""
    host: str = ""

    kind: ClassVar[Kind] = Kind.SSH
    name: ClassVar[str] = SSH_GET


@dataclass(frozen=True, slots=True)
class SshPut:
    """One file that is written.

    :ivar mode: permission bits of a file that is made.
    :ivar overwrite: a file that is there is replaced; otherwise it is left, and the action fails.
    """

    path: str
    content: bytes
    mode: int = 0o600
    overwrite: bool = False
    host: str = ""

    kind: ClassVar[Kind] = Kind.SSH
    name: ClassVar[str] = SSH_PUT


SshAction: TypeAlias = SshExec | SshGet | SshPut


@dataclass(frozen=True, slots=True)
class SshHop:
    """A host that a connection goes through, with the only keys that it may show."""

    host: str
    port: int
    user: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SshPlace:
    """Where an action runs, and everything of the target that shapes the run.

    :ivar keys: pins of the host: lines such as ``ssh-ed25519 AAAA...``, or ``SHA256:...``.
    :ivar authorities: keys that may sign the host's key.
    :ivar jumps: hosts on the way, the first one first.
    :ivar seconds: the longest that a command or a transfer may take.
    :ivar output_bytes: most bytes of stdout and of stderr that are kept; the rest is cut.
    :ivar file_bytes: largest file that is read or written.
    :ivar marker_dir: directory there in which each run leaves a marker; empty for none.
    :ivar wrap: the program ``timeout`` there ends a command whose time is over.
    :ivar profiles: command profiles of which one must permit a command that nobody decides.
    :ivar only_profiles: commands that none of them permits are denied.
    :ivar key_profiles: the same of the key that asks: one of these must permit the command too.
    """

    host: str
    port: int
    user: str
    keys: tuple[str, ...]
    authorities: tuple[str, ...] = ()
    jumps: tuple[SshHop, ...] = ()
    seconds: int = 60
    output_bytes: int = 1_048_576
    file_bytes: int = 1_048_576
    marker_dir: str = ""
    wrap: bool = True
    profiles: tuple[str, ...] = ()
    only_profiles: bool = False
    key_profiles: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """User, host and port as they are shown."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{self.port}"


# --- envelope ---


def ssh_params(action: SshAction) -> JsonObject:
    """Return the parameters of an action as policy, page and envelope show them."""
    if isinstance(action, SshExec):
        stdin = None if action.stdin is None else bytes_out(action.stdin)
        return {
            "command": action.command, "stdin": stdin, "timeout": action.timeout,
            "host": action.host,
        }  # fmt: skip
    if isinstance(action, SshGet):
        return {
            "path": action.path, "most": action.most, "sha256": action.sha256,
            "host": action.host,
        }  # fmt: skip
    return {
        "path": action.path, "content": bytes_out(action.content), "mode": action.mode,
        "overwrite": action.overwrite, "host": action.host,
    }  # fmt: skip


def read_params(name: str, params: JsonObject) -> SshAction:
    """Return the action of an envelope.

    :raises ValueError: it is none of ours.
    """
    host = cast("str", params["host"])
    if name == SSH_EXEC:
        stdin = params["stdin"]
        given = None if stdin is None else bytes_in(cast("JsonObject", stdin))
        timeout = cast("int", params["timeout"])
        return SshExec(cast("str", params["command"]), given, timeout, host)
    path = cast("str", params["path"])
    if name == SSH_GET:
        return SshGet(path, cast("int", params["most"]), cast("str", params["sha256"]), host)
    if name == SSH_PUT:
        content = bytes_in(cast("JsonObject", params["content"]))
        mode, overwrite = cast("int", params["mode"]), cast("bool", params["overwrite"])
        return SshPut(path, content, mode, overwrite, host)
    message = f"unknown action {name!r}"
    raise ValueError(message)


def place_out(place: SshPlace) -> JsonObject:
    """Return a place as the envelope holds it."""
    fields = cast("dict[str, JsonValue]", asdict(place))
    jumps: list[JsonValue] = [
        {**cast("JsonObject", asdict(hop)), "keys": list(hop.keys)} for hop in place.jumps
    ]
    del fields["key_profiles"]
    of_key = list[JsonValue](place.key_profiles)
    return {
        **fields, "keys": list(place.keys), "authorities": list(place.authorities), "jumps": jumps,
        "profiles": list(place.profiles), **({"key_profiles": of_key} if of_key else {}),
    }  # fmt: skip


def place_in(document: JsonObject) -> SshPlace:
    """Return the place that an envelope holds.

    :raises TypeError: it holds none.
    """
    fields = dict(document)
    hops = cast("list[dict[str, JsonValue]]", fields.pop("jumps"))
    keys = cast("list[str]", fields.pop("keys"))
    authorities = cast("list[str]", fields.pop("authorities"))
    profiles = cast("list[str]", fields.pop("profiles"))
    of_key = cast("list[str]", fields.pop("key_profiles", []))
    return SshPlace(
        **fields,  # pyright: ignore[reportArgumentType] - as place_out wrote them
        keys=tuple(keys), authorities=tuple(authorities), jumps=tuple(map(_hop, hops)),
        profiles=tuple(profiles), key_profiles=tuple(of_key),
    )  # fmt: skip


def _hop(fields: dict[str, JsonValue]) -> SshHop:
    keys = tuple(cast("list[str]", fields["keys"]))
    return SshHop(
        cast("str", fields["host"]), cast("int", fields["port"]), cast("str", fields["user"]), keys
    )


def bytes_out(data: bytes) -> JsonObject:
    """Return bytes as ``text`` where they are UTF-8 without NUL, and as ``base64`` elsewhere."""
    if b"\x00" not in data:
        with suppress(UnicodeDecodeError):
            return {"text": data.decode()}
    return {"base64": base64.b64encode(data).decode()}


def bytes_in(document: JsonObject) -> bytes:
    """Return the bytes that :func:`bytes_out` wrote.

    :raises KeyError: it is something else.
    """
    if "text" in document:
        return cast("str", document["text"]).encode()
    return base64.b64decode(cast("str", document["base64"]), validate=True)
