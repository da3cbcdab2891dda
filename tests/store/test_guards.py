"""What the database itself refuses, and how one sees that it does so no more."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.audit import SYSTEM
from app.store.engine import Store
from app.store.guards import GUARDS, missing_guards, missing_lines
from app.store.tx import Tx
from tests.support.world import world

pytestmark = pytest.mark.requirement("AUD-1")

_ALL = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
}


def _say(tx: Tx, *statements: str) -> None:
    for statement in statements:
        tx.query(text(statement))


async def test_every_guard_is_known_and_missed(database_url: str, tmp_path: Path) -> None:
    async with asyncio.timeout(60), world(database_url, tmp_path) as place:
        store: Store = place.services.store
        found = await store.read(lambda tx: {row[0] for row in tx.query(text(_ALL[store.kind]))})
        assert found == GUARDS[store.kind]
        assert await store.read(missing_guards) == []
        on = "" if store.kind == "sqlite" else " ON votes"
        await store.write(lambda tx: _say(tx, f"DROP TRIGGER votes_unchanged{on}"))
        off = {
            "sqlite": "DROP TRIGGER audit_kept",
            "postgresql": "ALTER TABLE audit DISABLE TRIGGER audit_unchanged",
        }
        await store.write(lambda tx: _say(tx, off[store.kind]))
        gone = {"sqlite": "audit_kept", "postgresql": "audit_unchanged"}
        assert await store.read(missing_guards) == [gone[store.kind], "votes_unchanged"]


@pytest.mark.parametrize("where", ["seq = 2", "seq = (SELECT max(seq) FROM audit)"])
async def test_a_line_that_was_taken_away_is_missed(tmp_path: Path, where: str) -> None:
    async with asyncio.timeout(60), world(f"sqlite:///{tmp_path}/a.db", tmp_path) as place:
        store: Store = place.services.store

        def fail(tx: Tx) -> None:
            tx.note("test.noted", SYSTEM, "test:1")
            tx.flush()
            message = "given up"
            raise RuntimeError(message)

        for _ in range(3):
            await store.write(lambda tx: tx.note("test.noted", SYSTEM, "test:1"))
            with pytest.raises(RuntimeError):
                await store.write(fail)
        assert await store.read(missing_lines) == 0
        taken = ("DROP TRIGGER audit_kept", f"DELETE FROM audit WHERE {where}")
        await store.write(lambda tx: _say(tx, *taken))
        assert await store.read(missing_lines) == 1
