"""The shapes of SSH targets, commands and files at the wire."""

from typing import Annotated, Literal

from msgspec import Meta

from app.core.host_keys import ShownKey
from app.core.json_types import JsonObject
from app.core.ssh_action import SshHop
from app.core.ssh_target import SshSettings
from app.services.markers import Looked
from app.web.bodies import Strict
from app.web.models import JsonDict, Out, Text

Host = Annotated[str, Meta(max_length=253)]
Port = Annotated[int, Meta(ge=1, le=65_535)]
User = Annotated[str, Meta(max_length=64)]
Keys = Annotated[list[Annotated[str, Meta(min_length=1, max_length=2000)]], Meta(max_length=64)]
Hosts = Annotated[list[Host], Meta(max_length=64)]
Base64 = Annotated[str, Meta(max_length=24_000_000)]


class MarkerOut(Out):
    """What the marker of a command says whose outcome was unknown.

    ``status`` is the request's after that: it stays ``unknown`` unless the command has ended.
    """

    request_id: str
    status: str
    marker: Literal["none", "began", "finished", "unreadable"]
    exit_code: int | None
    detail: str

    @classmethod
    def of(cls, looked: Looked) -> "MarkerOut":
        """Return it for the wire."""
        request, marker = looked.request, looked.marker
        return cls(
            request_id=request.id, status=request.status.value, marker=marker.says.value,
            exit_code=marker.exit_code, detail=marker.detail,
        )  # fmt: skip


class SshHopIn(Strict):
    """A host that connections go through; it needs a pinned key."""

    host: Host
    user: User
    keys: Keys
    port: Port = 22

    def value(self) -> SshHop:
        """Return it as the core has it."""
        return SshHop(self.host, self.port, self.user, tuple(self.keys))


class SshSettingsIn(Strict):
    """How commands at an SSH host are run.

    Give ``host``, or ``hosts`` (patterns of names) and ``cidrs`` where agents name the host.
    ``host_keys`` are pins such as ``ssh-ed25519 AAAA...`` or ``SHA256:...``; where agents name the
    host, each begins with the host's name and a blank.
    """

    user: User
    host: Host = ""
    port: Port = 22
    host_keys: Keys = []
    ca_keys: Keys = []
    jumps: Annotated[list[SshHopIn], Meta(max_length=4)] = []
    seconds: Annotated[int, Meta(ge=1, le=3600)] = 60
    output_bytes: Annotated[int, Meta(ge=1, le=4_194_304)] = 1_048_576
    file_bytes: Annotated[int, Meta(ge=1, le=16_777_216)] = 1_048_576
    marker_dir: Annotated[str, Meta(max_length=201)] = ""
    wrap: bool = True
    hosts: Hosts = []
    cidrs: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=64)] = []
    profiles: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=32)] = []
    only_profiles: bool = False

    def value(self) -> SshSettings:
        """Return the settings as the core has them."""
        fields: JsonDict = {name: getattr(self, name) for name in self.__struct_fields__}
        for name in ("host_keys", "ca_keys", "hosts", "cidrs", "profiles"):
            fields[name] = tuple(fields[name])
        fields["jumps"] = tuple(hop.value() for hop in self.jumps)
        return SshSettings(**fields)


class _AskedIn(Strict, kw_only=True):
    """What every SSH request may say besides."""

    host: Host = ""
    reason: Text = ""
    urgency: Literal["low", "normal", "high", "critical"] = "normal"
    context: JsonDict = {}

    def params(self) -> JsonObject:
        """Return the parameters of the action: what was given of them."""
        words = ("reason", "urgency", "context")
        given = {name: getattr(self, name) for name in self.__struct_fields__ if name not in words}
        return {name: value for name, value in given.items() if value not in (None, "")}


class CommandIn(_AskedIn, kw_only=True):
    """A command for the remote login shell, exactly as it is to be sent."""

    command: Annotated[str, Meta(min_length=1, max_length=65_536)]
    timeout: Annotated[int, Meta(ge=1, le=3600)] | None = None
    stdin: Annotated[str, Meta(max_length=1_048_576)] | None = None
    stdin_base64: Base64 | None = None

    def params(self) -> JsonObject:
        """Return the parameters; an empty standard input is one."""
        stdin: JsonObject = {} if self.stdin is None else {"stdin": self.stdin}
        return {**super().params(), **stdin}


class FileReadIn(_AskedIn, kw_only=True):
    """A file to read; with ``sha256`` only if it has that content."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    most: Annotated[int, Meta(ge=1, le=16_777_216)] | None = None
    sha256: Annotated[str, Meta(max_length=64)] = ""


class FileWriteIn(_AskedIn, kw_only=True):
    """A file to write, whole or not at all."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    content: Annotated[str, Meta(max_length=16_777_216)] | None = None
    content_base64: Base64 | None = None
    mode: Annotated[str, Meta(max_length=4)] = "600"
    overwrite: bool = False

    def params(self) -> JsonObject:
        """Return the parameters; an empty file is one."""
        content: JsonObject = {} if self.content is None else {"content": self.content}
        return {**super().params(), **content}


class HostIn(Strict):
    """Which host, where agents name it."""

    host: Host = ""


class HostKeyIn(HostIn, kw_only=True):
    """The key that a person has compared, as ``type data``."""

    key: Annotated[str, Meta(min_length=1, max_length=2000)]


class ShownKeyOut(Out):
    """The key that a host shows now; nothing is stored until it is confirmed."""

    host: str
    port: int
    kind: str
    key: str
    fingerprint: str
    pinned: list[str]
    changed: bool

    @classmethod
    def of(cls, shown: ShownKey) -> "ShownKeyOut":
        """Return the answer for a key, beside the fingerprints that are pinned."""
        pinned = list(shown.pinned)
        return cls(
            shown.host, shown.port, shown.kind, shown.key, shown.fingerprint, pinned, shown.changed
        )


class CommandOut(Out):
    """How a command ended; what is no UTF-8 text is in base64."""

    request_id: str
    status: str
    exit_code: int | None
    signal: str | None
    timed_out: bool
    duration_ms: int
    stdout: str
    stdout_encoding: str
    stdout_bytes: int
    stdout_truncated: bool
    stderr: str
    stderr_encoding: str
    stderr_bytes: int
    stderr_truncated: bool
    truncated: bool
    redacted: int
    code: str


class FileOut(Out, omit_defaults=True):
    """What came of a file; ``code`` is ``ok``, or says why not."""

    request_id: str
    status: str
    code: str
    path: str
    size: int
    sha256: str
    duration_ms: int
    truncated: bool
    redacted: int
    detail: str = ""
    content: str = ""
    content_encoding: str = ""
