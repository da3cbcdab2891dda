"""Sealed results, as far as a change of the master key concerns them."""

from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from app.store.sql import table_of
from app.store.tables import ResultRow

if TYPE_CHECKING:
    from app.store.tx import Tx

R = table_of(ResultRow)


class Results:
    """The results of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

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
