"""The append-only record. There is no update and no delete."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

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

    def page(
        self, *, before: int | None, limit: int, event: str | None = None, actor: str | None = None
    ) -> list[AuditRecord]:
        """Return lines, newest first, below the given sequence number."""
        wanted: list[ColumnElement[bool]] = []
        if before is not None:
            wanted.append(A.c.seq < before)
        if event is not None:
            wanted.append(A.c.event == event)
        if actor is not None:
            wanted.append(A.c.actor == actor)
        statement = select(A).where(*wanted).order_by(A.c.seq.desc()).limit(limit)
        return [_record(row) for row in self._tx.query(statement)]

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
