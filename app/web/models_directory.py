"""The shapes of targets, agents, keys and people at the wire."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.core.breaker import Breaker
from app.core.principals import Agent, ApiKey, Person
from app.core.targets import CredentialRule, Target, TargetSettings
from app.web.bodies import Strict
from app.web.models import Id, JsonDict, Name, Out, Password, Text, moment, when
from app.web.models_calls import CallRuleIn, FromPreset, PermissionIn
from app.web.models_ssh import SshSettingsIn

# --- targets ---


class TargetSettingsIn(Strict):
    """How calls at a target are made."""

    networks: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=32)] = []
    methods: Annotated[list[Annotated[str, Meta(max_length=16)]], Meta(max_length=16)] = []
    connect_seconds: Annotated[float, Meta(gt=0, le=300)] = 10.0
    total_seconds: Annotated[float, Meta(gt=0, le=300)] = 30.0
    response_bytes: Annotated[int, Meta(ge=1, le=16_777_216)] = 1_048_576
    retry_safe_methods: bool = False
    idle_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    stream_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    stream_bytes: Annotated[int, Meta(ge=1, le=1 << 40)] = 1 << 30
    request_bytes: Annotated[int, Meta(ge=1, le=1 << 30)] = 10_485_760
    pass_cookies: bool = False
    rate: Annotated[str, Meta(max_length=20)] = ""
    breaker_failures: Annotated[int, Meta(ge=0, le=10_000)] = 20
    breaker_window: Annotated[int, Meta(ge=1, le=3600)] = 60
    breaker_cool_down: Annotated[int, Meta(ge=1, le=3600)] = 30
    breaker_probes: Annotated[int, Meta(ge=1, le=100)] = 1
    breaker_on_errors: bool = True
    allow: Annotated[list[CallRuleIn], Meta(max_length=100)] = []
    deny: Annotated[list[CallRuleIn], Meta(max_length=100)] = []
    ssh: SshSettingsIn | None = None

    def value(self) -> TargetSettings:
        """Return the settings as the core has them."""
        fields: JsonDict = {name: getattr(self, name) for name in self.__struct_fields__}
        fields |= {
            "networks": tuple(self.networks),
            "methods": tuple(self.methods),
            "allow": tuple(one.value() for one in self.allow),
            "deny": tuple(one.value() for one in self.deny),
            "ssh": None if self.ssh is None else self.ssh.value(),
        }
        return TargetSettings(**fields)


class CredentialRuleIn(Strict):
    """Calls that get a credential; empty methods or paths mean all."""

    credential_id: Id
    methods: Annotated[list[Annotated[str, Meta(max_length=16)]], Meta(max_length=16)] = []
    paths: Annotated[list[Annotated[str, Meta(max_length=512)]], Meta(max_length=32)] = []

    def value(self) -> CredentialRule:
        """Return the rule as the core has it."""
        return CredentialRule(self.credential_id, tuple(self.methods), tuple(self.paths))


class TargetIn(FromPreset, kw_only=True):
    """A new target: by hand with name and base_url, or of a preset, which gives both.

    An SSH host has ``settings.ssh`` instead of a base_url.

    ``guard`` makes the policy by which reads pass there and everything else asks. ``account``,
    ``fields`` (of the credential), ``client_id`` and ``client_secret`` (of an OAuth client that is
    connected later) go with a preset; so does ``base_url`` where it says ``own_host``.
    """

    name: Annotated[str, Meta(max_length=64)] = ""
    base_url: Annotated[str, Meta(max_length=2000)] = ""
    guard: Literal["", "reads_pass"] = ""
    description: Text = ""
    credential_id: Id | None = None
    credentials: Annotated[list[CredentialRuleIn], Meta(max_length=32)] = []
    settings: TargetSettingsIn = msgspec.field(default_factory=TargetSettingsIn)
    enabled: bool = True
    grant_agents: Annotated[list[Id], Meta(max_length=200)] | None = None


class TargetUpdateIn(Strict):
    """What changes of a target."""

    name: Annotated[str, Meta(min_length=1, max_length=64)] | UnsetType = UNSET
    base_url: Annotated[str, Meta(min_length=1, max_length=2000)] | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    credential_id: Id | UnsetType | None = UNSET
    credentials: Annotated[list[CredentialRuleIn], Meta(max_length=32)] | UnsetType = UNSET
    settings: TargetSettingsIn | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    grant_agents: Annotated[list[Id], Meta(max_length=200)] | UnsetType = UNSET


class TargetOut(Out):
    """A target."""

    id: str
    name: str
    description: str
    kind: str
    base_url: str
    revision: int
    enabled: bool
    credential_id: str | None
    credentials: list[JsonDict]
    settings: JsonDict
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, target: Target) -> "TargetOut":
        """Return the answer for a target."""
        fields: JsonDict = {name: getattr(target, name) for name in cls.__struct_fields__}
        fields |= {
            "credentials": [asdict(rule) for rule in target.credentials],
            "settings": asdict(target.settings),
            "created_at": moment(target.created_at),
            "updated_at": moment(target.updated_at),
        }
        return cls(**fields)


class TargetList(Out):
    """All targets by name."""

    items: list[TargetOut]


class BreakerOut(Out):
    """The circuit breaker of a target."""

    state: str
    since: datetime | None
    failures: int

    @classmethod
    def of(cls, breaker: Breaker) -> "BreakerOut":
        """Return the answer for a breaker."""
        since = None if breaker.resting else moment(breaker.since)
        return cls(breaker.state.value, since, breaker.failures)


# --- agents, keys, people ---


class AgentIn(Strict):
    """A new agent; without an owner the caller answers for it."""

    name: Name
    description: Text = ""
    owner_id: Id | None = None
    open_limit: Annotated[int, Meta(ge=0, le=1_000_000)] = 100
    rate: Annotated[str, Meta(max_length=20)] = ""


class AgentUpdateIn(Strict):
    """What changes of an agent."""

    name: Name | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    owner_id: Id | UnsetType = UNSET
    open_limit: Annotated[int, Meta(ge=0, le=1_000_000)] | UnsetType = UNSET
    rate: Annotated[str, Meta(max_length=20)] | UnsetType = UNSET
    frozen: bool | UnsetType = UNSET


class AgentOut(Out):
    """An agent."""

    id: str
    name: str
    description: str
    owner_id: str | None
    open_limit: int
    rate: str
    frozen: bool
    created_at: datetime
    last_seen_at: datetime | None

    @classmethod
    def of(cls, agent: Agent) -> "AgentOut":
        """Return the answer for an agent."""
        fields: JsonDict = {name: getattr(agent, name) for name in cls.__struct_fields__}
        seen, created = when(agent.last_seen_at), moment(agent.created_at)
        fields |= {"created_at": created, "last_seen_at": seen}
        return cls(**fields)


class AgentList(Out):
    """All agents by name."""

    items: list[AgentOut]


class KeyIn(Strict):
    """A new key of an agent or of a person.

    One that votes is made by its person, signed in, with their password.
    """

    name: Name
    scopes: Annotated[list[Annotated[str, Meta(max_length=40)]], Meta(max_length=20)]
    agent_id: Id | None = None
    person_id: Id | None = None
    permissions: Annotated[list[PermissionIn], Meta(max_length=200)] | None = None
    networks: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=100)] = []
    rate_limit: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    expires_in: Annotated[int, Meta(ge=1, le=315_360_000)] | None = None
    password: Password = ""


class KeyNameIn(Strict):
    """A key's new name."""

    name: Name


class RotateIn(Strict):
    """How long the old key goes on working."""

    grace_seconds: Annotated[int, Meta(ge=0, le=2_592_000)] = 0
    password: Password = ""


class KeyOut(Out):
    """A key, without its secret."""

    id: str
    name: str
    prefix: str
    agent_id: str | None
    person_id: str | None
    scopes: list[str]
    permissions: list[JsonDict] | None
    networks: list[str]
    rate_limit: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    replaces: str | None

    @classmethod
    def of(cls, key: ApiKey) -> "KeyOut":
        """Return the answer for a key."""
        fields: JsonDict = {name: getattr(key, name) for name in cls.__struct_fields__}
        permissions = key.permissions
        times = ("expires_at", "revoked_at", "last_used_at")
        fields |= {
            "scopes": sorted(key.scopes),
            "permissions": None if permissions is None else [asdict(p) for p in permissions],
            "networks": list(key.networks),
            "created_at": moment(key.created_at),
            **{name: when(getattr(key, name)) for name in times},
        }
        return cls(**fields)


class NewKeyOut(Out):
    """A new key; the secret is shown this once."""

    key: KeyOut
    secret: str


class KeyList(Out):
    """Keys, newest first."""

    items: list[KeyOut]


class PersonIn(Strict):
    """A new person; who is signed in adds their own password as a proof."""

    name: Name
    email: Annotated[str, Meta(min_length=3, max_length=254)]
    role: Literal["viewer", "approver", "operator", "admin"]
    password: Annotated[str, Meta(max_length=256)]
    own_password: Password = ""


class PersonUpdateIn(Strict):
    """What changes of a person."""

    name: Name | None = None
    role: Literal["viewer", "approver", "operator", "admin"] | None = None
    active: bool | None = None


class PersonOut(Out):
    """A person."""

    id: str
    name: str
    email: str
    role: str
    active: bool
    created_at: datetime
    last_seen_at: datetime | None

    @classmethod
    def of(cls, person: Person) -> "PersonOut":
        """Return the answer for a person."""
        fields: JsonDict = {name: getattr(person, name) for name in cls.__struct_fields__}
        seen, created = when(person.last_seen_at), moment(person.created_at)
        fields |= {"created_at": created, "last_seen_at": seen}
        return cls(**fields)


class PersonList(Out):
    """All people by name."""

    items: list[PersonOut]


class PasswordIn(Strict):
    """A change of password; ``end_keys`` ends the person's keys, too."""

    old: Password
    new: Password
    end_keys: bool = False


class SignInIn(Strict):
    """An account and its password."""

    email: Annotated[str, Meta(min_length=3, max_length=254)]
    password: Annotated[str, Meta(min_length=1, max_length=256)]


class SessionOut(Out):
    """A new session; its token is in the cookie alone."""

    person_id: str
    csrf_token: str


class InstallationOut(Out):
    """What holds for the whole installation."""

    owner_may_decide: bool


class InstallationIn(Strict):
    """What changes for the whole installation."""

    owner_may_decide: bool
