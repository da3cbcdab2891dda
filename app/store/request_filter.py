"""Which requests a list shows, and the query for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, bindparam, select

from app.clock import time_part
from app.core.action import Urgency
from app.core.instant import Instant, plus
from app.core.request import Status
from app.store.sql import Sql, table_of
from app.store.tables import RequestRow

T = table_of(RequestRow)


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Which requests a list shows; ``None`` means any.

    :ivar created_from: inclusive.
    :ivar created_to: exclusive.
    :ivar before: ids smaller than this one (the cursor).
    """

    agent_id: str | None = None
    statuses: tuple[Status, ...] = ()
    action: str | None = None
    target_id: str | None = None
    urgency: Urgency | None = None
    created_from: Instant | None = None
    created_to: Instant | None = None
    before: str | None = None
    after: str | None = None


_ONE: Final[Mapping[str, ColumnElement[bool]]] = {
    "agent_id": T.c.agent_id == bindparam("agent_id"),
    "action": T.c.action == bindparam("action"),
    "target_id": T.c.target_id == bindparam("target_id"),
    "urgency": T.c.urgency == bindparam("urgency"),
    "from_id": T.c.id >= bindparam("from_id"),
    "from_at": T.c.created_at >= bindparam("from_at"),
    "to_id": T.c.id < bindparam("to_id"),
    "to_at": T.c.created_at < bindparam("to_at"),
    "before": T.c.id < bindparam("before"),
    "after": T.c.id > bindparam("after"),
}


def parameters(wanted: RequestFilter) -> dict[str, object]:
    """Return the values of a filter's conditions by name."""
    since, until = wanted.created_from, wanted.created_to
    values: dict[str, object] = {
        "agent_id": wanted.agent_id,
        "action": wanted.action,
        "target_id": wanted.target_id,
        "urgency": None if wanted.urgency is None else wanted.urgency.value,
        "from_id": None if since is None else f"req_{time_part(since)}",
        "from_at": since,
        "to_id": None if until is None else f"req_{time_part(plus(until, 1))}",
        "to_at": until,
        "before": wanted.before,
        "after": wanted.after,
    }
    values.update((f"status_{at}", one.value) for at, one in enumerate(wanted.statuses))
    return {name: value for name, value in values.items() if value is not None}


@lru_cache(256)
def page_of(columns: tuple[Column[Any], ...], names: tuple[str, ...]) -> Sql:
    """Return the query for a page under the conditions of these names.

    Newest first, or oldest first after a cursor; ``most`` is the number of its rows.
    """
    statuses = [bindparam(name) for name in names if name.startswith("status_")]
    found = [_ONE[name] for name in names if name in _ONE]
    if statuses:
        found.append(T.c.status.in_(statuses))
    order = T.c.id.asc() if "after" in names else T.c.id.desc()
    return Sql(select(*columns).where(*found).order_by(order).limit(bindparam("most")))
