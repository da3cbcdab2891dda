"""The tables of the calls of bundles. Instants are microseconds (``BIGINT``).

What was approved is in the request's ``payload``; these rows say how far its calls are. Triggers
refuse any change to a call that has its end.
"""

# SQLModel types `__tablename__` as a declared attribute; a plain string is its documented use.
# pyright: reportAssignmentType=false

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary
from sqlmodel import Field, SQLModel

from app.core.bundle import CallStatus

_STATUSES = ", ".join(f"'{status.value}'" for status in CallStatus)


class RequestItemRow(SQLModel, table=True):
    """One call of a bundle; the columns stand in the order of ``core.bundle.CallState``."""

    __tablename__ = "request_items"
    __table_args__ = (
        CheckConstraint(f"status IN ({_STATUSES})", name="ck_request_items_status"),
        Index("ix_request_items_target", "target_id"),
    )

    request_id: str = Field(primary_key=True, foreign_key="requests.id")
    number: int = Field(primary_key=True)
    target_id: str
    status: str
    sent_at: int | None = Field(sa_type=BigInteger)
    finished_at: int | None = Field(sa_type=BigInteger)
    outcome: str | None
    fence: int


class ItemResultRow(SQLModel, table=True):
    """An upstream's answer to one call, sealed; removed when its time is over."""

    __tablename__ = "item_results"
    __table_args__ = (Index("ix_item_results_expiry", "expires_at"),)

    request_id: str = Field(primary_key=True, foreign_key="requests.id")
    number: int = Field(primary_key=True)
    sealed: bytes = Field(sa_type=LargeBinary)
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
