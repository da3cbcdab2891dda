"""Who calls: agents and their keys, people and their sessions."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from app.core.audit import Actor, ActorKind
from app.core.calls import CallRule
from app.core.errors import InvalidField, ScopeConflict
from app.core.instant import Instant


class Scope(StrEnum):
    """What a key may do."""

    REQUEST_CREATE = "request:create"
    REQUEST_READ = "request:read"
    REQUEST_DECIDE = "request:decide"
    AUDIT_READ = "audit:read"
    POLICY_READ = "policy:read"
    POLICY_WRITE = "policy:write"
    WEBHOOK_MANAGE = "webhook:manage"
    CONNECTION_MANAGE = "connection:manage"
    ADMIN = "admin"


SCOPE_WORDS: Final[dict[Scope, str]] = {
    Scope.REQUEST_CREATE: "ask for actions",
    Scope.REQUEST_READ: "see requests and their results",
    Scope.REQUEST_DECIDE: "approve and deny requests",
    Scope.AUDIT_READ: "read the record and how channels do",
    Scope.POLICY_READ: "see policies, targets, agents and people",
    Scope.POLICY_WRITE: "change policies, and let calls pass again at a stopped target",
    Scope.WEBHOOK_MANAGE: "make, change and remove webhooks, and send messages again",
    Scope.CONNECTION_MANAGE: "connect and disconnect accounts at services",
    Scope.ADMIN: "change agents, people, targets and credentials; includes none of the others",
}
"""What each scope lets a key do, in words for a form."""

AGENT_SCOPES: Final = frozenset({Scope.REQUEST_CREATE, Scope.REQUEST_READ})
"""The only scopes that an agent's key can hold (threat T21)."""

PERSON_SCOPES: Final = frozenset(Scope) - {Scope.REQUEST_CREATE}
"""The scopes that a person's key can hold: it never creates requests."""


class Role(StrEnum):
    """What a person may do; each role includes the ones before it."""

    VIEWER = "viewer"
    APPROVER = "approver"
    OPERATOR = "operator"
    ADMIN = "admin"


_RANK: Final = {role: rank for rank, role in enumerate(Role)}

ROLE_SCOPES: Final[dict[Role, frozenset[Scope]]] = {
    Role.VIEWER: frozenset({Scope.REQUEST_READ, Scope.AUDIT_READ, Scope.POLICY_READ}),
    Role.APPROVER: frozenset(
        {Scope.REQUEST_READ, Scope.AUDIT_READ, Scope.POLICY_READ, Scope.REQUEST_DECIDE}
    ),
    Role.OPERATOR: PERSON_SCOPES - {Scope.ADMIN},
    Role.ADMIN: PERSON_SCOPES,
}
"""What each role holds, and so the most that a key of such a person can do."""


def at_least(role: Role, needed: Role) -> bool:
    """Whether a role includes another."""
    return _RANK[role] >= _RANK[needed]


@dataclass(frozen=True, slots=True)
class Agent:
    """A non-human caller.

    :ivar owner_id: the person who answers for it, and by default never decides for it.
    :ivar open_limit: most pending requests at a time; 0 means no limit.
    :ivar rate: requests that it may make, such as ``60/minute``; empty means no limit.
    """

    id: str
    name: str
    description: str
    owner_id: str | None
    open_limit: int
    frozen: bool
    created_at: Instant
    last_seen_at: Instant | None = None
    rate: str = ""


@dataclass(frozen=True, slots=True)
class Permission:
    """Calls that a key permits at a target: any of the methods at any of the path globs.

    :ivar denied: the calls are taken out again of what the key's others permit.
    :ivar profiles: command profiles of which one must permit a command there that nobody decides;
        such a permission is about commands alone.
    """

    target: str
    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    denied: bool = False
    profiles: tuple[str, ...] = ()

    @property
    def calls(self) -> CallRule:
        """The calls, as lists of calls hold them."""
        return CallRule(self.methods, self.paths)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as stored; the key itself is shown once and never kept.

    :ivar permissions: None permits every target; an empty tuple permits none.
    :ivar networks: CIDRs it may be used from; empty means from anywhere.
    :ivar rate_limit: calls in any sixty seconds, or None.
    """

    id: str
    name: str
    prefix: str
    sha256: str = field(repr=False)
    agent_id: str | None
    person_id: str | None
    scopes: frozenset[Scope]
    permissions: tuple[Permission, ...] | None
    networks: tuple[str, ...]
    rate_limit: int | None
    created_at: Instant
    expires_at: Instant | None = None
    revoked_at: Instant | None = None
    last_used_at: Instant | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A human with a local account; ``password`` is an argon2id hash."""

    id: str
    name: str
    email: str
    role: Role
    password: str = field(repr=False)
    active: bool
    created_at: Instant
    last_seen_at: Instant | None = None

    @property
    def actor(self) -> Actor:
        """The person as audit entries name it."""
        return Actor(ActorKind.PERSON, self.id, self.name)


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser."""

    sha256: str = field(repr=False)
    person_id: str
    form_token: str = field(repr=False)
    created_at: Instant
    seen_at: Instant
    expires_at: Instant
    remote_ip: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever a door let in, with all that the door and the services need to know of them.

    :ivar agent: set for an agent's key.
    :ivar person: set for a person's key or session.
    :ivar key: set when a key was used.
    :ivar local: whether it is the operator at the server's own command line; no door says so.
    """

    actor: Actor
    scopes: frozenset[Scope]
    agent: Agent | None = None
    person: Person | None = None
    key: ApiKey | None = None
    session: Session | None = None
    local: bool = False

    def may(self, scope: Scope) -> bool:
        """Whether the caller holds a scope."""
        return scope in self.scopes


def check_scopes(scopes: frozenset[Scope], *, for_agent: bool) -> None:
    """Refuse scopes that a key of this kind of owner can never hold.

    :raises ScopeConflict: for create beside decide or administration, whoever owns the key.
    :raises InvalidField: for an empty set.
    """
    if not scopes:
        message = "a key needs at least one scope"
        raise InvalidField(message, pointer="/scopes")
    allowed = AGENT_SCOPES if for_agent else PERSON_SCOPES
    if surplus := sorted(scopes - allowed):
        owner = "an agent's" if for_agent else "a person's"
        message = f"{owner} key can never hold {', '.join(surplus)}"
        raise ScopeConflict(message, pointer="/scopes")
