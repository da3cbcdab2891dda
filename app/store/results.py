"""Sealed results, and what a change of the master key does to them."""

from typing import TYPE_CHECKING, Final

from sqlalchemy import func, insert, select, update

from app.core.instant import Instant
from app.store.sql import Sql, table_of
from app.store.tables import ResultRow

if TYPE_CHECKING:
    from app.store.tx import Tx

R = table_of(ResultRow)
_REPLACED: Final = " ON CONFLICT (request_id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in ("sealed", "created_at", "expires_at")
)
_KEEP_RESULT: Final = Sql(insert(R), suffix=dict.fromkeys(("sqlite", "postgresql"), _REPLACED))


class Results:
    """The results of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def put(self, request_id: str, sealed: bytes, now: Instant, until: Instant) -> None:
        """Keep a sealed result until its time is over."""
        values = {
            "request_id": request_id, "sealed": sealed, "created_at": now, "expires_at": until,
        }  # fmt: skip
        self._tx.run(_KEEP_RESULT, values)

    def get(self, request_id: str) -> bytes | None:
        """Return the sealed result, or None when there is none any more."""
        row = self._tx.query(select(R.c.sealed).where(R.c.request_id == request_id)).first()
        return None if row is None else bytes(row[0])

    def drop(self, now: Instant) -> int:
        """Remove the results whose time is over and return how many there were."""
        return self._tx.query(R.delete().where(R.c.expires_at <= now)).rowcount

    def heads(self, after: str, head: int, most: int) -> list[tuple[str, bytes]]:
        """Return ids of requests with the first bytes of their sealed results, in order.

        :param after: ids up to this one are left out.
        :param head: how many bytes.
        """
        statement = (
            select(R.c.request_id, func.substr(R.c.sealed, 1, head))
            .where(R.c.request_id > after)
            .order_by(R.c.request_id)
            .limit(most)
        )
        return [(str(row[0]), bytes(row[1])) for row in self._tx.query(statement)]

    def reseal(self, request_id: str, before: bytes, sealed: bytes) -> bool:
        """Replace the sealing of a result; False when it is gone or another by now."""
        statement = update(R).where(R.c.request_id == request_id, R.c.sealed == before)
        return self._tx.query(statement.values(sealed=sealed)).rowcount == 1
