"""The tables of who and what there is: agents, keys, people, targets, credentials, policies."""

# SQLModel types `__tablename__` as a declared attribute; a plain string is its documented use.
# pyright: reportAssignmentType=false

from sqlalchemy import BigInteger, LargeBinary
from sqlmodel import Field, SQLModel


class AgentRow(SQLModel, table=True):
    """A non-human caller."""

    __tablename__ = "agents"

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    description: str
    owner_id: str | None = Field(foreign_key="people.id")
    open_limit: int
    frozen: bool
    created_at: int = Field(sa_type=BigInteger)
    last_seen_at: int | None = Field(sa_type=BigInteger)
    rate: str


class KeyRow(SQLModel, table=True):
    """An API key; only its SHA-256 is kept."""

    __tablename__ = "api_keys"

    id: str = Field(primary_key=True)
    name: str
    prefix: str
    sha256: str = Field(unique=True)
    agent_id: str | None = Field(foreign_key="agents.id", index=True)
    person_id: str | None = Field(foreign_key="people.id", index=True)
    scopes: str
    permissions: str
    networks: str
    rate_limit: int | None
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int | None = Field(sa_type=BigInteger)
    revoked_at: int | None = Field(sa_type=BigInteger)
    last_used_at: int | None = Field(sa_type=BigInteger)
    replaces: str | None


class PersonRow(SQLModel, table=True):
    """A human with a local account."""

    __tablename__ = "people"

    id: str = Field(primary_key=True)
    name: str
    email: str = Field(unique=True)
    role: str
    password: str
    active: bool
    created_at: int = Field(sa_type=BigInteger)
    last_seen_at: int | None = Field(sa_type=BigInteger)


class SessionRow(SQLModel, table=True):
    """A signed-in browser; only the SHA-256 of its token is kept."""

    __tablename__ = "sessions"

    sha256: str = Field(primary_key=True)
    person_id: str = Field(foreign_key="people.id", index=True)
    form_token: str
    created_at: int = Field(sa_type=BigInteger)
    seen_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    remote_ip: str
    user_agent: str


class SignInRow(SQLModel, table=True):
    """Failed sign-ins of one subject (an address or an account) since the last good one."""

    __tablename__ = "sign_ins"

    subject: str = Field(primary_key=True)
    failures: int
    last_at: int = Field(sa_type=BigInteger)


class RateRow(SQLModel, table=True):
    """Calls of one key in one slot: five seconds, counted from the epoch."""

    __tablename__ = "rates"

    key_id: str = Field(primary_key=True)
    slot: int = Field(primary_key=True, sa_type=BigInteger)
    calls: int


class TargetRow(SQLModel, table=True):
    """A configured upstream; a change of ``revision`` voids what was approved before."""

    __tablename__ = "targets"

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    description: str
    kind: str
    base_url: str
    revision: int
    enabled: bool
    credential_id: str | None = Field(foreign_key="credentials.id")
    settings: str
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)


class CredentialRow(SQLModel, table=True):
    """A vault item; its fields are sealed in ``vault_fields``."""

    __tablename__ = "credentials"

    id: str = Field(primary_key=True)
    vault: str
    name: str = Field(unique=True)
    description: str
    kind: str
    version: int
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
    domains: str = Field(sa_column_kwargs={"server_default": "[]"})
    public_fields: str = Field(sa_column_kwargs={"server_default": "[]"})
    adds: str = Field(sa_column_kwargs={"server_default": "[]"})


class TargetCredentialRow(SQLModel, table=True):
    """Calls at a target that get a credential, in the order in which they are tried."""

    __tablename__ = "target_credentials"

    target_id: str = Field(primary_key=True, foreign_key="targets.id")
    position: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    credential_id: str = Field(foreign_key="credentials.id", index=True)
    methods: str
    paths: str


class VaultFieldRow(SQLModel, table=True):
    """One sealed field of a credential."""

    __tablename__ = "vault_fields"

    credential_id: str = Field(primary_key=True, foreign_key="credentials.id")
    name: str = Field(primary_key=True)
    sealed: bytes = Field(sa_type=LargeBinary)
    master_key: str


class ConnectionRow(SQLModel, table=True):
    """How the tokens of an OAuth credential stand; the tokens are in ``vault_fields``."""

    __tablename__ = "connections"

    credential_id: str = Field(primary_key=True, foreign_key="credentials.id")
    client: str
    state: str
    granted: str | None
    expires_at: int | None = Field(sa_type=BigInteger)
    refreshed_at: int | None = Field(sa_type=BigInteger)
    stale: bool
    failing_since: int | None = Field(sa_type=BigInteger)
    error_at: int | None = Field(sa_type=BigInteger)
    last_error: str
    lease_until: int | None = Field(sa_type=BigInteger)
    fence: int


class ConsentRow(SQLModel, table=True):
    """Somebody who went to a service to consent; only the SHA-256 of the state is kept."""

    __tablename__ = "consents"

    sha256: str = Field(primary_key=True)
    credential_id: str = Field(foreign_key="credentials.id", index=True)
    person_id: str
    session: str
    verifier: bytes = Field(sa_type=LargeBinary)
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)


class GrantRow(SQLModel, table=True):
    """A credential may be used at a target by an agent; ``*`` stands for every agent."""

    __tablename__ = "credential_grants"

    credential_id: str = Field(primary_key=True, foreign_key="credentials.id")
    target_id: str = Field(primary_key=True, foreign_key="targets.id")
    agent_id: str = Field(primary_key=True)
    created_at: int = Field(sa_type=BigInteger)


class PolicyRow(SQLModel, table=True):
    """The present version of a policy."""

    __tablename__ = "policies"

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    version: int
    priority: int
    enabled: bool
    document: str
    author: str
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)


class PolicyVersionRow(SQLModel, table=True):
    """Every version that a policy ever had."""

    __tablename__ = "policy_versions"
    policy_id: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    document: str
    author: str
    created_at: int = Field(sa_type=BigInteger)


class SettingRow(SQLModel, table=True):
    """Facts of the installation: policy revision, set-up token, epoch."""

    __tablename__ = "settings"

    name: str = Field(primary_key=True)
    value: str
