"""The tables of people's accounts elsewhere, of what is delivered to them, and of webhooks."""

# SQLModel types `__tablename__` as a declared attribute; a plain string is its documented use.
# pyright: reportAssignmentType=false

from sqlalchemy import BigInteger, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel


class GroupRow(SQLModel, table=True):
    """A named set of people that policies may ask."""

    __tablename__ = "groups"

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    description: str
    created_at: int = Field(sa_type=BigInteger)


class MemberRow(SQLModel, table=True):
    """A person in a group."""

    __tablename__ = "group_members"

    group_id: str = Field(primary_key=True, foreign_key="groups.id")
    person_id: str = Field(primary_key=True, foreign_key="people.id", index=True)


class IdentityRow(SQLModel, table=True):
    """A person's account in a channel; an account belongs to one person."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("channel", "account", name="uq_identities_account"),)

    id: str = Field(primary_key=True)
    channel: str
    account: str
    person_id: str = Field(foreign_key="people.id", index=True)
    label: str
    created_at: int = Field(sa_type=BigInteger)
    created_by: str


class OfferRow(SQLModel, table=True):
    """A one-time link by which somebody in a channel says who they are, by signing in."""

    __tablename__ = "identity_offers"

    sha256: str = Field(primary_key=True)
    channel: str
    account: str
    label: str
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)


class DelegationRow(SQLModel, table=True):
    """A person's place, taken by another for a time; not handed on."""

    __tablename__ = "delegations"

    id: str = Field(primary_key=True)
    person_id: str = Field(foreign_key="people.id", index=True)
    delegate_id: str = Field(foreign_key="people.id", index=True)
    starts_at: int = Field(sa_type=BigInteger)
    ends_at: int = Field(sa_type=BigInteger)
    actions: str
    note: str
    created_at: int = Field(sa_type=BigInteger)
    created_by: str
    revoked_at: int | None = Field(sa_type=BigInteger)


class PreferenceRow(SQLModel, table=True):
    """How a person wants to be told in one channel."""

    __tablename__ = "preferences"

    person_id: str = Field(primary_key=True, foreign_key="people.id")
    channel: str = Field(primary_key=True)
    document: str


class DeliveryRow(SQLModel, table=True):
    """One message to one recipient, and how far it came."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index(
            "ix_deliveries_due",
            "channel",
            "run_at",
            sqlite_where=text("state = 'due'"),
            postgresql_where=text("state = 'due'"),
        ),
        Index(
            "ix_deliveries_leased",
            "channel",
            "recipient",
            sqlite_where=text("lease_until IS NOT NULL"),
            postgresql_where=text("lease_until IS NOT NULL"),
        ),
        Index("ix_deliveries_request", "request_id", "channel", "recipient"),
        Index("ix_deliveries_state", "state", "id"),
        Index("ix_deliveries_recipient", "channel", "recipient", "id"),
    )

    id: str = Field(primary_key=True)
    kind: str
    channel: str
    recipient: str
    person_id: str | None
    request_id: str | None
    event_id: str | None
    purpose: str
    token: str = Field(unique=True)
    body: str
    reference: str
    display: str
    complete: bool
    wanted: int
    shown: int
    state: str
    tries: int
    fence: int
    run_at: int = Field(sa_type=BigInteger)
    lease_until: int | None = Field(sa_type=BigInteger)
    last_error: str
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
    delivered_at: int | None = Field(sa_type=BigInteger)


class DeliveryAttemptRow(SQLModel, table=True):
    """One try of a delivery."""

    __tablename__ = "delivery_attempts"
    __table_args__ = (Index("ix_delivery_attempts_at", "at"),)

    delivery_id: str = Field(primary_key=True)
    fence: int = Field(primary_key=True)
    at: int = Field(sa_type=BigInteger)
    milliseconds: int
    outcome: str
    detail: str


class LinkRow(SQLModel, table=True):
    """A one-click link; only the SHA-256 of its id is kept, and it works once."""

    __tablename__ = "links"

    sha256: str = Field(primary_key=True)
    request_id: str = Field(index=True)
    digest: str
    person_id: str
    channel: str
    delivery_id: str
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    used_at: int | None = Field(sa_type=BigInteger)


class WebhookRow(SQLModel, table=True):
    """A subscription; its secrets are sealed."""

    __tablename__ = "webhooks"

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    url: str
    format: str
    filters: str
    enabled: bool
    secret: bytes = Field(sa_type=LargeBinary)
    previous: bytes | None = Field(sa_type=LargeBinary)
    previous_until: int | None = Field(sa_type=BigInteger)
    networks: str
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
    disabled_reason: str


class EventRow(SQLModel, table=True):
    """Something that happened to a request, as subscribers are told; its id never changes."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_request", "request_id", "seq"),)

    id: str = Field(primary_key=True)
    seq: int = Field(sa_type=BigInteger)
    type: str
    request_id: str
    body: str
    created_at: int = Field(sa_type=BigInteger)
