"""The tables of requests and of what hangs on them. Instants are microseconds (``BIGINT``).

Everything that was approved is in ``payload``; the columns beside it are there to be searched.
Triggers of the first migration refuse any change to the submitted columns and to the audit.
"""

# SQLModel types `__tablename__` as a declared attribute; a plain string is its documented use.
# pyright: reportAssignmentType=false

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, LargeBinary, text
from sqlmodel import Field, SQLModel

from app.core.request import Status

SERIAL = BigInteger().with_variant(Integer(), "sqlite")
_STATUSES = ", ".join(f"'{status.value}'" for status in Status)


class RequestRow(SQLModel, table=True):
    """One request; the columns stand in the order of ``core.request.Request``."""

    __tablename__ = "requests"
    __table_args__ = (
        CheckConstraint(f"status IN ({_STATUSES})", name="ck_requests_status"),
        Index("ix_requests_status", "status", "id"),
        Index("ix_requests_action", "action", "id"),
        Index(
            "ix_requests_target",
            "target_id",
            "id",
            sqlite_where=text("target_id IS NOT NULL"),
            postgresql_where=text("target_id IS NOT NULL"),
        ),
        Index("ix_requests_agent", "agent_id", "id"),
        Index("ix_requests_agent_status", "agent_id", "status", "id"),
        Index("ix_requests_agent_action", "agent_id", "action", "id"),
        Index(
            "ix_requests_due",
            "expires_at",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_requests_escalate",
            "escalate_at",
            sqlite_where=text("status = 'pending' AND escalate_at IS NOT NULL"),
            postgresql_where=text("status = 'pending' AND escalate_at IS NOT NULL"),
        ),
        Index(
            "ix_requests_identical",
            text("substr(digest, 1, 16)"),
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_requests_grant",
            "valid_until",
            sqlite_where=text("status = 'approved'"),
            postgresql_where=text("status = 'approved'"),
        ),
        Index(
            "ix_requests_lease",
            "lease_until",
            sqlite_where=text("status = 'executing'"),
            postgresql_where=text("status = 'executing'"),
        ),
    )

    id: str = Field(primary_key=True)
    agent_id: str
    key_id: str
    owner_id: str | None
    kind: str
    action: str
    target_id: str | None
    target_name: str | None
    urgency: str
    reason: str
    payload: bytes = Field(sa_type=LargeBinary)
    digest: str
    effect: str
    verdict: str
    quorum: int
    owner_may_decide: bool | None
    route: str
    require_reason: bool
    valid_for: int
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    status: str
    version: int
    approvals: int
    decided_at: int | None = Field(sa_type=BigInteger)
    decided_by: str | None
    comment: str
    valid_until: int | None = Field(sa_type=BigInteger)
    attempt: int
    fence: int
    worker: str | None
    lease_until: int | None = Field(sa_type=BigInteger)
    sent_at: int | None = Field(sa_type=BigInteger)
    finished_at: int | None = Field(sa_type=BigInteger)
    outcome: str | None
    denials: int
    stage: int
    escalate_at: int | None = Field(sa_type=BigInteger)


class VoteRow(SQLModel, table=True):
    """One counted ballot; a person has one vote for a request."""

    __tablename__ = "votes"

    request_id: str = Field(primary_key=True, foreign_key="requests.id")
    person_id: str = Field(primary_key=True)
    choice: str
    digest: str
    comment: str
    channel: str
    cast_at: int = Field(sa_type=BigInteger)
    assurance: int
    display: str
    excluded: str


class AttemptRow(SQLModel, table=True):
    """One claim of a request: evidence of what its holder did, kept also when it was fenced."""

    __tablename__ = "attempts"

    request_id: str = Field(primary_key=True, foreign_key="requests.id")
    fence: int = Field(primary_key=True)
    worker: str
    claimed_at: int = Field(sa_type=BigInteger)
    sent_at: int | None = Field(sa_type=BigInteger)
    finished_at: int | None = Field(sa_type=BigInteger)
    evidence: str


class ResultRow(SQLModel, table=True):
    """An upstream's answer, sealed; removed when its time is over."""

    __tablename__ = "results"
    __table_args__ = (Index("ix_results_expiry", "expires_at"),)

    request_id: str = Field(primary_key=True, foreign_key="requests.id")
    sealed: bytes = Field(sa_type=LargeBinary)
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)


class AuditRow(SQLModel, table=True):
    """One line of the append-only record."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_request", "request_id", "seq"),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=SERIAL)
    at: int = Field(sa_type=BigInteger)
    event: str
    actor: str
    actor_name: str
    subject: str
    request_id: str | None
    details: str


class JobRow(SQLModel, table=True):
    """One piece of work, claimed under a lease; ``tries`` is its fencing number."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_due", "lane", "run_at"),
        Index("ix_jobs_turn", "lane", "agent_id", "rank", "run_at", "id"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=SERIAL)
    kind: str
    request_id: str
    run_at: int = Field(sa_type=BigInteger)
    tries: int
    dead: bool
    last_error: str
    lane: str
    agent_id: str
    rank: int


class IdempotencyRow(SQLModel, table=True):
    """An Idempotency-Key that was used, and the request that it made."""

    __tablename__ = "idempotency"
    __table_args__ = (Index("ix_idempotency_created", "created_at"),)

    agent_id: str = Field(primary_key=True)
    token: str = Field(primary_key=True)
    fingerprint: str
    request_id: str
    created_at: int = Field(sa_type=BigInteger)
