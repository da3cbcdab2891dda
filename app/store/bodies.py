"""Bodies that are kept apart from their requests, in chunks."""

from typing import TYPE_CHECKING, Final

from sqlalchemy import ColumnElement, delete, func, insert, or_, select, update

from app.core.action import Detached
from app.core.instant import Instant
from app.store.sql import table_of
from app.store.tables import RequestRow
from app.store.tables_bodies import BodyChunkRow, BodyRow

if TYPE_CHECKING:
    from app.store.tx import Tx

B = table_of(BodyRow)
C = table_of(BodyChunkRow)
R = table_of(RequestRow)
_FINAL: Final = ("succeeded", "failed", "denied", "expired", "cancelled")


class Bodies:
    """The bodies of one transaction or read."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def add(self, body_id: str, body: Detached) -> None:
        """Begin a body; its chunks follow, and then its request."""
        self._tx.query(
            insert(B).values(
                id=body_id, request_id=None, sha256=body.sha256, size=body.size,
                created_at=self._tx.now,
            )
        )  # fmt: skip

    def add_chunk(self, body_id: str, place: int, data: bytes) -> None:
        """Write a piece of a body."""
        self._tx.query(insert(C).values(body_id=body_id, place=place, data=data))

    def link(self, body_id: str, request_id: str, body: Detached) -> bool:
        """Give a stored body to its request; False when it is another one, or gone."""
        statement = (
            update(B)
            .where(B.c.id == body_id, B.c.request_id.is_(None))
            .where(B.c.sha256 == body.sha256, B.c.size == body.size)
            .values(request_id=request_id)
        )
        return self._tx.query(statement).rowcount == 1

    def of_request(self, request_id: str) -> str | None:
        """Return the id of a request's body, or None."""
        row = self._tx.query(select(B.c.id).where(B.c.request_id == request_id)).first()
        return None if row is None else str(row[0])

    def chunk(self, body_id: str, place: int) -> bytes | None:
        """Return a piece of a body, or None behind the last."""
        found = select(C.c.data).where(C.c.body_id == body_id, C.c.place == place)
        row = self._tx.query(found).first()
        return None if row is None else bytes(row[0])

    def drop(self, body_id: str) -> None:
        """Remove a body that has no request."""
        alone = select(B.c.id).where(B.c.id == body_id, B.c.request_id.is_(None))
        self._tx.query(delete(C).where(C.c.body_id.in_(alone)))
        self._tx.query(delete(B).where(B.c.id.in_(alone)))

    def forget(self, before: Instant, kept: Instant) -> int:
        """Remove bodies of requests that are over, and those begun before then for nothing.

        :param kept: since when the body of a request stays whose outcome is unknown.
        """
        mine = select(R.c.id).where(R.c.id == B.c.request_id)
        over = mine.where(R.c.status.in_(_FINAL)).exists()
        since = func.coalesce(R.c.sent_at, R.c.decided_at, R.c.created_at)
        lost = mine.where(R.c.status == "unknown", since < kept).exists()
        orphan: ColumnElement[bool] = B.c.request_id.is_(None) & (B.c.created_at < before)
        found = self._tx.query(select(B.c.id).where(or_(over, lost, orphan)))
        ids = [str(row[0]) for row in found]
        for body_id in ids:
            self._tx.query(delete(C).where(C.c.body_id == body_id))
            self._tx.query(delete(B).where(B.c.id == body_id))
        return len(ids)
