"""The tables of bodies that are kept apart from their requests, in chunks."""

# SQLModel types `__tablename__` as a declared attribute; a plain string is its documented use.
# pyright: reportAssignmentType=false

from sqlalchemy import BigInteger, Index, LargeBinary
from sqlmodel import Field, SQLModel


class BodyRow(SQLModel, table=True):
    """A body; without a request while it is written, and for good when none was made of it."""

    __tablename__ = "bodies"
    __table_args__ = (Index("ix_bodies_request", "request_id"),)

    id: str = Field(primary_key=True)
    request_id: str | None
    sha256: str
    size: int = Field(sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger)


class BodyChunkRow(SQLModel, table=True):
    """A piece of a body, in the order of ``place``."""

    __tablename__ = "body_chunks"

    body_id: str = Field(primary_key=True, foreign_key="bodies.id")
    place: int = Field(primary_key=True)
    data: bytes = Field(sa_type=LargeBinary)
