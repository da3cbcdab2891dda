"""The calls of bundles: how far each is, and its sealed answer."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, select, update

from app.core.bundle import CallState, CallStatus, consequences, opened
from app.core.instant import Instant
from app.core.request import Request
from app.store.sql import Sql, table_of
from app.store.tables_bundles import ItemResultRow, RequestItemRow

if TYPE_CHECKING:
    from app.store.tx import Tx

B = table_of(RequestItemRow)
R = table_of(ItemResultRow)
_COLUMNS: Final = [column.name for column in B.columns]
_INSERT: Final = Sql(insert(B))


class Bundles:
    """The calls of bundles in one transaction or read."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def follow(self, before: Request | None, after: Request) -> None:
        """Bring the calls to what their request became."""
        if before is None:
            for state in opened(after):
                row = {name: getattr(state, name) for name in _COLUMNS}
                self._tx.defer(_INSERT, {**row, "status": state.status.value})
        for old, new in consequences(after.status).items():
            self._tx.query(
                update(B)
                .where(B.c.request_id == after.id, B.c.status == old.value)
                .values(status=new.value, finished_at=self._tx.now)
            )

    def of(self, request_id: str) -> list[CallState]:
        """Return the calls of a bundle in their order."""
        rows = self._tx.query(select(B).where(B.c.request_id == request_id).order_by(B.c.number))
        return [_from_row(row) for row in rows]

    def get(self, request_id: str, number: int) -> CallState | None:
        """Return one call, or None."""
        wanted = (B.c.request_id == request_id, B.c.number == number)
        row = self._tx.query(select(B).where(*wanted)).first()
        return None if row is None else _from_row(row)

    def leave_out(self, request_id: str, numbers: Iterable[int], fence: int) -> None:
        """Write which calls the votes leave out."""
        self._tx.query(
            update(B)
            .where(
                B.c.request_id == request_id, B.c.number.in_(sorted(numbers)),
                B.c.status == CallStatus.WAITING.value,
            )
            .values(status=CallStatus.EXCLUDED.value, fence=fence, finished_at=self._tx.now)
        )  # fmt: skip

    def mark_sent(self, request_id: str, number: int, fence: int) -> None:
        """Write that bytes of a call are about to leave."""
        self._tx.query(
            update(B)
            .where(
                B.c.request_id == request_id, B.c.number == number,
                B.c.status == CallStatus.WAITING.value,
            )
            .values(status=CallStatus.SENT.value, sent_at=self._tx.now, fence=fence)
        )  # fmt: skip

    def put(self, state: CallState) -> None:
        """Write what became of a call."""
        self._tx.query(
            update(B)
            .where(B.c.request_id == state.request_id, B.c.number == state.number)
            .values(
                status=state.status.value, finished_at=state.finished_at, outcome=state.outcome,
                fence=state.fence, sent_at=state.sent_at,
            )
        )  # fmt: skip

    # --- results ---

    def put_result(self, request_id: str, number: int, sealed: bytes, until: Instant) -> None:
        """Keep a sealed result until its time is over."""
        self._tx.query(
            insert(R).values(
                request_id=request_id, number=number, sealed=sealed, created_at=self._tx.now,
                expires_at=until,
            )
        )  # fmt: skip

    def result(self, request_id: str, number: int) -> bytes | None:
        """Return the sealed result, or None when there is none any more."""
        wanted = (R.c.request_id == request_id, R.c.number == number)
        row = self._tx.query(select(R.c.sealed).where(*wanted)).first()
        return None if row is None else bytes(row[0])

    def drop_results(self, now: Instant) -> int:
        """Remove the results whose time is over and return how many there were."""
        return self._tx.query(R.delete().where(R.c.expires_at <= now)).rowcount


def _from_row(row: Sequence[Any]) -> CallState:
    request_id, number, target_id, status, *rest = row
    return CallState(request_id, number, target_id, CallStatus(status), *rest)
