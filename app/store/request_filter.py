"""Which requests a list shows, and the SQL conditions for it."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement

from app.clock import time_part
from app.core.action import Urgency
from app.core.instant import Instant, plus
from app.core.request import Status
from app.store.sql import table_of
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


def conditions(wanted: RequestFilter) -> list[ColumnElement[bool]]:
    """Return the conditions of a filter."""
    found: list[ColumnElement[bool]] = []
    exact = {
        T.c.agent_id: wanted.agent_id,
        T.c.action: wanted.action,
        T.c.target_id: wanted.target_id,
        T.c.urgency: wanted.urgency,
    }
    found.extend(column == value for column, value in exact.items() if value is not None)
    if wanted.statuses:
        found.append(T.c.status.in_(wanted.statuses))
    if wanted.created_from is not None:
        found.append(T.c.id >= f"req_{time_part(wanted.created_from)}")
        found.append(T.c.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        found.append(T.c.id < f"req_{time_part(plus(wanted.created_to, 1))}")
        found.append(T.c.created_at < wanted.created_to)
    if wanted.before is not None:
        found.append(T.c.id < wanted.before)
    if wanted.after is not None:
        found.append(T.c.id > wanted.after)
    return found
