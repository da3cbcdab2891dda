"""The levels of token buckets, and the breakers of targets."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from app.core.breaker import Breaker, State
from app.core.bucket import Level
from app.core.canonical import canonical
from app.core.instant import Instant
from app.store.sql import Sql, table_of
from app.store.tables_limits import BreakerRow, LevelRow

if TYPE_CHECKING:
    from app.store.tx import Tx

L = table_of(LevelRow)
B = table_of(BreakerRow)

_LOCK: Final = 0x6C696D69
_LEVEL: Final = Sql(select(L.c.used, L.c.at).where(L.c.bucket == bindparam("bucket")))
_BREAKER: Final = Sql(
    select(B.c.state, B.c.since, B.c.failures, B.c.probes, B.c.passed, B.c.blame).where(
        B.c.target_id == bindparam("target_id")
    )
)


class Limits:
    """The limits of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def hold(self) -> None:
        """Let no other transaction count until this one ends; one lock, so nobody waits crosswise.

        SQLite has one writing transaction at a time in any case.
        """
        if self._tx.engine == "postgresql":
            self._tx.query(select(func.pg_advisory_xact_lock(_LOCK)))

    def try_hold(self) -> bool:
        """Take the same lock if nobody has it, for who holds other locks already."""
        if self._tx.engine != "postgresql":
            return True
        return bool(self._tx.query(select(func.pg_try_advisory_xact_lock(_LOCK))).scalar_one())

    def level(self, bucket: str) -> Level | None:
        """Return the level of a bucket, or None when nothing was taken out of it."""
        row = self._tx.run(_LEVEL, {"bucket": bucket}).fetchone()
        return None if row is None else Level(int(row[0]), Instant(int(row[1])))

    def put_level(self, bucket: str, level: Level) -> None:
        """Write the level of a bucket."""
        values = {"used": level.used, "at": level.at}
        self._upsert(LevelRow, {"bucket": bucket, **values}, values)

    def drop_levels(self, before: Instant) -> int:
        """Forget the buckets that nobody touched since, which must be long enough ago."""
        return self._tx.query(delete(L).where(L.c.at < before)).rowcount

    # --- breakers ---

    def breaker(self, target_id: str) -> Breaker | None:
        """Return the breaker of a target, or None when it is at rest."""
        row = self._tx.run(_BREAKER, {"target_id": target_id}).fetchone()
        return None if row is None else _breaker(row)

    def breakers(self) -> dict[str, Breaker]:
        """Return the breakers that are not at rest, by target."""
        rows = self._tx.query(select(B)).all()
        return {str(row[0]): _breaker(row[1:]) for row in rows}

    def put_breaker(self, target_id: str, breaker: Breaker) -> None:
        """Write the breaker of a target, or remove it when it is at rest."""
        if breaker.resting:
            self._tx.query(delete(B).where(B.c.target_id == target_id))
            return
        values = {
            "state": breaker.state.value,
            "since": breaker.since,
            "failures": breaker.failures,
            "probes": breaker.probes,
            "passed": breaker.passed,
            "blame": canonical(dict(breaker.blame)).decode(),
        }
        self._upsert(BreakerRow, {"target_id": target_id, **values}, values)

    def _upsert(
        self,
        row: type[LevelRow] | type[BreakerRow],
        values: dict[str, int | str],
        changed: dict[str, int] | dict[str, int | str],
    ) -> None:
        table = table_of(row)
        maker = sqlite.insert if self._tx.engine == "sqlite" else postgresql.insert
        keys = [column.name for column in table.primary_key]
        statement = maker(table).values(**values)
        self._tx.query(statement.on_conflict_do_update(index_elements=keys, set_=changed))


def _breaker(row: Sequence[Any]) -> Breaker:
    state, since, failures, probes, passed, blame = row
    counts: dict[str, int] = json.loads(blame)
    return Breaker(State(state), Instant(since), failures, probes, passed, tuple(counts.items()))
