"""What sweeps look for among requests, each by an index of its own."""

from typing import Final

from sqlalchemy import bindparam, literal_column, select

from app.store.sql import Sql, table_of
from app.store.tables import RequestRow

T = table_of(RequestRow)
PENDING: Final = literal_column("'pending'")
"""Spelled out, so that SQLite sees that the partial index serves."""

BEGINNING: Final = literal_column("substr(digest, 1, 16)")
"""What the index of identical requests holds of a digest, spelled as it spells it."""

# SQLite would rather take all of a status than the few that are due, unless it is told.
DUE: Final = {
    "expire": Sql(
        select(T.c.id)
        .where(T.c.status == PENDING, T.c.expires_at <= bindparam("now"))
        .order_by(T.c.expires_at)
        .limit(bindparam("most")),
        index="ix_requests_due",
    ),
    "escalate": Sql(
        select(T.c.id)
        .where(T.c.status == PENDING, T.c.escalate_at <= bindparam("now"))
        .order_by(T.c.escalate_at)
        .limit(bindparam("most")),
        index="ix_requests_escalate",
    ),
    "lapse": Sql(
        select(T.c.id)
        .where(T.c.status == literal_column("'approved'"), T.c.valid_until <= bindparam("now"))
        .order_by(T.c.valid_until)
        .limit(bindparam("most")),
        index="ix_requests_grant",
    ),
    "lose": Sql(
        select(T.c.id)
        .where(T.c.status == literal_column("'executing'"), T.c.lease_until <= bindparam("now"))
        .order_by(T.c.lease_until)
        .limit(bindparam("most")),
        index="ix_requests_lease",
    ),
}
