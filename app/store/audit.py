"""The append-only record. There is no update and no delete."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack, cast

from sqlalchemy import ColumnElement, bindparam, func, insert, select

from app.core.audit import AuditEntry
from app.core.canonical import canonical
from app.core.instant import Instant
from app.core.json_types import JsonObject
from app.store.sql import Sql, table_of
from app.store.tables import AuditRow

if TYPE_CHECKING:
    from app.store.tx import Tx

A = table_of(AuditRow)
_ADD: Final = Sql(
    insert(A).values(
        {column.name: bindparam(column.name) for column in A.columns if column.name != "seq"}
    ),
    flat=tuple,
)
_SINCE: Final = Sql(
    select(A.c.seq, A.c.request_id, A.c.event, A.c.subject)
    .where(A.c.seq > bindparam("seq"))
    .order_by(A.c.seq)
    .limit(bindparam("most"))
)


_FAMILY: Final = ".*"


class AuditFilter(TypedDict, total=False):
    """Which lines are wanted; what is left out may be anything.

    ``event`` is one, or a family such as ``key.*``. ``subject`` is ``kind:id`` or the id alone;
    that of a request means all lines about it. ``since`` is inclusive and ``until`` exclusive;
    ``before``, ``after`` and ``lowest`` (inclusive) are sequence numbers.
    """

    event: str
    actor: str
    subject: str
    since: Instant
    until: Instant
    before: int
    after: int
    lowest: int


def _event(text: str) -> ColumnElement[bool]:
    if text.endswith(_FAMILY):
        return A.c.event.startswith(text.removesuffix("*"), autoescape=True)
    return A.c.event == text


def _subject(text: str) -> ColumnElement[bool]:
    number = text.removeprefix("request:")
    if number.startswith("req_"):
        return A.c.request_id == number
    return A.c.subject == text if ":" in text else A.c.subject.endswith(f":{text}", autoescape=True)


_WANTED: Final[Mapping[str, Callable[[Any], ColumnElement[bool]]]] = {
    "event": _event,
    "actor": lambda actor: A.c.actor == actor,
    "subject": _subject,
    "since": lambda instant: A.c.at >= instant,
    "until": lambda instant: A.c.at < instant,
    "before": lambda seq: A.c.seq < seq,
    "after": lambda seq: A.c.seq > seq,
    "lowest": lambda seq: A.c.seq >= seq,
}


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One stored line."""

    seq: int
    at: Instant
    event: str
    actor: str
    actor_name: str
    subject: str
    request_id: str | None
    details: JsonObject


class Audit:
    """The record, of one transaction or read."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def add(self, entry: AuditEntry) -> None:
        """Append a line; it is written with the others of its group."""
        self._tx.defer(
            _ADD,
            (
                self._tx.now,
                entry.event,
                entry.actor.reference,
                entry.actor.name,
                entry.subject,
                entry.request_id,
                canonical(entry.details).decode(),
            ),
        )

    def of_request(self, request_id: str) -> list[AuditRecord]:
        """Return the lines of one request, oldest first."""
        rows = self._tx.query(select(A).where(A.c.request_id == request_id).order_by(A.c.seq))
        return [_record(row) for row in rows]

    def page(self, limit: int, **wanted: Unpack[AuditFilter]) -> list[AuditRecord]:
        """Return lines, newest first (or the next newer ones, when ``after`` is given)."""
        later = "after" in wanted
        order = A.c.seq.asc() if later else A.c.seq.desc()
        conditions = [_WANTED[name](cast("Any", value)) for name, value in wanted.items()]
        statement = select(A).where(*conditions).order_by(order).limit(limit)
        found = [_record(row) for row in self._tx.query(statement)]
        return found[::-1] if later else found

    def last(self) -> int:
        """Return the newest sequence number, 0 when the record is empty."""
        row = self._tx.query(select(func.max(A.c.seq))).first()
        return 0 if row is None or row[0] is None else int(row[0])

    def since(self, seq: int, most: int = 1000) -> list[tuple[int, str | None, str, str]]:
        """Return (seq, request id, event, subject) of the lines after ``seq``, oldest first."""
        rows = self._tx.run(_SINCE, {"seq": seq, "most": most}).fetchall()
        return [(int(r[0]), r[1], str(r[2]), str(r[3])) for r in rows]


def _record(row: Sequence[object]) -> AuditRecord:
    seq, at, event, actor, actor_name, subject, request_id, details = row
    return AuditRecord(
        seq=cast("int", seq),
        at=cast("Instant", at),
        event=str(event),
        actor=str(actor),
        actor_name=str(actor_name),
        subject=str(subject),
        request_id=cast("str | None", request_id),
        details=json.loads(str(details)),
    )
