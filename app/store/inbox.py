"""What waits for people, the first to expire first, under an index; a page at a time."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, bindparam, literal_column, or_, select

from app.core.request import Request
from app.store.request_rows import from_row
from app.store.sql import Sql, table_of
from app.store.tables import RequestRow

if TYPE_CHECKING:
    from app.store.tx import Tx

T = table_of(RequestRow)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Which pending requests a page shows, by when they expire; ``None`` means any.

    :ivar later: instant and id of the last request of the page before.
    :ivar sooner: of the first request of the page behind.
    """

    agent_id: str | None = None
    target_id: str | None = None
    urgency: str | None = None
    later: tuple[int, str] | None = None
    sooner: tuple[int, str] | None = None


_LATER: Final = and_(
    T.c.expires_at >= bindparam("at"),
    or_(T.c.expires_at > bindparam("at"), T.c.id > bindparam("than")),
)
_SOONER: Final = and_(
    T.c.expires_at <= bindparam("at"),
    or_(T.c.expires_at < bindparam("at"), T.c.id < bindparam("than")),
)


@lru_cache(64)
def _page_of(names: tuple[str, ...]) -> Sql:
    found = [T.c[name] == bindparam(name) for name in names if name in T.c]
    if "later" in names:
        found.append(_LATER)
    if "sooner" in names:
        found.append(_SOONER)
    order = [T.c.expires_at, T.c.id]
    if "sooner" in names:
        order = [column.desc() for column in order]
    pending = T.c.status == literal_column("'pending'")
    statement = select(T).where(pending, *found).order_by(*order).limit(bindparam("most"))
    return Sql(statement, index="ix_requests_due")


def soonest(tx: "Tx", wanted: Waiting, limit: int) -> list[Request]:
    """Return pending requests, the first to expire first."""
    given = {name: getattr(wanted, name) for name in ("agent_id", "target_id", "urgency")}
    params: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    names = tuple(params)
    for way in ("later", "sooner"):
        place: tuple[int, str] | None = getattr(wanted, way)
        if place is not None:
            names = (*names, way)
            params["at"], params["than"] = place
    rows = tx.run(_page_of(names), {**params, "most": limit}).fetchall()
    found = [from_row(row) for row in rows]
    return found[::-1] if wanted.sooner else found
