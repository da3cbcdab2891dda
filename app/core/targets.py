"""Targets: the upstreams that an administrator configured."""

from dataclasses import dataclass, field
from typing import Final

from app.core.breaker import Fuse
from app.core.calls import CallRule
from app.core.conditions.glob import path_glob
from app.core.instant import Instant
from app.core.ssh_target import SshSettings

MAX_RESPONSE_BYTES: Final = 16 * 1024 * 1024
MAX_SECONDS: Final = 300.0
MAX_STREAM_SECONDS: Final = 86_400.0
MAX_STREAM_BYTES: Final = 1 << 40
MAX_REQUEST_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """How calls at a target are made.

    :ivar networks: CIDRs of private networks that it opts in to (GW-4).
    :ivar methods: methods that it takes; empty means all.
    :ivar total_seconds: limit until an answer begins; of the whole answer where it is kept whole.
    :ivar response_bytes: most bytes of an answer that is kept or must be read whole.
    :ivar retry_safe_methods: GET and HEAD may be sent again when their outcome is not known.
    :ivar idle_seconds: most seconds between two pieces of an answer that is passed on.
    :ivar stream_seconds: most seconds that an answer is passed on.
    :ivar stream_bytes: most bytes of an answer that is passed on.
    :ivar request_bytes: largest body that is sent there.
    :ivar pass_cookies: Set-Cookie is passed on to agents.
    :ivar rate: requests that all agents together may make, such as ``60/minute``; empty means no
        limit.
    :ivar breaker_failures: see :class:`app.core.breaker.Fuse`; 0 switches the breaker off.
    :ivar breaker_on_errors: answers of 500 and above count as failures.
    :ivar allow: the only calls that are made there; empty means all.
    :ivar deny: calls that are never made there, before any policy is asked.
    :ivar ssh: of an SSH target: how commands are run there.
    """

    networks: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    connect_seconds: float = 10.0
    total_seconds: float = 30.0
    response_bytes: int = 1_048_576
    retry_safe_methods: bool = False
    idle_seconds: float = 60.0
    stream_seconds: float = 300.0
    stream_bytes: int = 1 << 30
    request_bytes: int = 10_485_760
    pass_cookies: bool = False
    rate: str = ""
    breaker_failures: int = 20
    breaker_window: int = 60
    breaker_cool_down: int = 30
    breaker_probes: int = 1
    breaker_on_errors: bool = True
    allow: tuple[CallRule, ...] = ()
    deny: tuple[CallRule, ...] = ()
    ssh: SshSettings | None = None

    @property
    def fuse(self) -> Fuse:
        """When the target's breaker opens and closes."""
        return Fuse(
            self.breaker_failures, self.breaker_window, self.breaker_cool_down, self.breaker_probes
        )


@dataclass(frozen=True, slots=True)
class CredentialRule:
    """Which calls at a target get a credential.

    :ivar methods: methods of the calls; empty means all.
    :ivar paths: globs of their paths, without the base address; empty means all.
    """

    credential_id: str
    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def covers(self, method: str, path: str) -> bool:
        """Return whether a call is one of these."""
        if self.methods and method not in self.methods:
            return False
        return not self.paths or any(path_glob(glob)(path) is True for glob in self.paths)


@dataclass(frozen=True, slots=True)
class Target:
    """A configured upstream; a new ``revision`` voids approvals given for an older one.

    :ivar credential_id: what calls get that no rule covers; None for nothing.
    :ivar credentials: rules for the others; the first that covers a call counts.
    """

    id: str
    name: str
    description: str
    kind: str
    base_url: str
    revision: int
    enabled: bool
    credential_id: str | None
    created_at: Instant
    updated_at: Instant
    settings: TargetSettings = field(default_factory=TargetSettings)
    credentials: tuple[CredentialRule, ...] = ()

    def credential_for(self, method: str, path: str) -> str | None:
        """Return the id of the credential that a call gets, or None."""
        for rule in self.credentials:
            if rule.covers(method, path):
                return rule.credential_id
        return self.credential_id

    @property
    def credential_ids(self) -> tuple[str, ...]:
        """The ids of all credentials that calls here may get, each once."""
        ids = [rule.credential_id for rule in self.credentials]
        if self.credential_id is not None:
            ids.append(self.credential_id)
        return tuple(dict.fromkeys(ids))


@dataclass(frozen=True, slots=True)
class Credential:
    """A vault item without its values; agents may see its name at most.

    :ivar domains: hosts that an item is for, by which agents find it.
    :ivar public_fields: names of an item's fields that are no secrets.
    :ivar adds: what it adds to a call, each to be followed by its name (``core.credentials``).
    :ivar fields: the names of its sealed fields.
    """

    id: str
    vault: str
    name: str
    description: str
    kind: str
    version: int
    created_at: Instant
    updated_at: Instant
    domains: tuple[str, ...] = ()
    public_fields: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """What people may see of what it adds, such as ``Authorization: <github-prod>``."""
        return tuple(f"{text}<{self.name}>" for text in self.adds)


@dataclass(frozen=True, slots=True)
class CredentialGrant:
    """Leave to use a credential at a target, for one agent or (``*``) for all."""

    credential_id: str
    target_id: str
    agent_id: str
