"""The tables of limits: token buckets and circuit breakers."""

# SQLModel types `__tablename__` as a declared attribute; a plain string is its documented use.
# pyright: reportAssignmentType=false

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class LevelRow(SQLModel, table=True):
    """What was taken out of one bucket; a bucket without a row is full."""

    __tablename__ = "levels"

    bucket: str = Field(primary_key=True)
    used: int = Field(sa_type=BigInteger)
    at: int = Field(sa_type=BigInteger)


class BreakerRow(SQLModel, table=True):
    """The breaker of one target; a target without a row is at rest."""

    __tablename__ = "breakers"

    target_id: str = Field(primary_key=True)
    state: str
    since: int = Field(sa_type=BigInteger)
    failures: int
    probes: int
    passed: int
    blame: str = Field(sa_column_kwargs={"server_default": "{}"})
