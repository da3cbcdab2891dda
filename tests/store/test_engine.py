"""The store when its database goes away, and what nobody may change in it."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.errors import StoreUnavailable
from app.core.request import Request
from app.store.tx import Tx
from tests.support.world import World, world


@pytest.mark.requirement("OPS-1")
async def test_lost_connections_are_made_again(database_url: str, tmp_path: Path) -> None:
    if database_url.startswith("sqlite"):
        return

    def cut(tx: Tx) -> None:
        tx.connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    async with world(database_url, tmp_path) as place:
        request = await place.ask()
        await place.services.store.read(cut)
        async with asyncio.timeout(30):
            after = await until_it_answers(place)
        assert after.decided_by is not None
        assert (await place.get(request)).id == request.id


async def until_it_answers(place: World) -> Request:
    """Ask and read until both work again; only a clean refusal may come before that."""
    while True:
        try:
            made = await place.ask()
            return await place.vote(made)
        except StoreUnavailable:
            await asyncio.sleep(0.05)


@pytest.mark.requirement("AUD-1", "T64")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'x'",
        "DELETE FROM audit",
        "UPDATE requests SET reason = 'x'",
        "UPDATE requests SET payload = digest",
        "DELETE FROM requests",
        "UPDATE votes SET choice = 'deny'",
        "DELETE FROM votes",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit",
    ],
)
async def test_the_record_and_what_was_asked_do_not_change(
    database_url: str, tmp_path: Path, statement: str
) -> None:
    if "REPLACE" in statement and not database_url.startswith("sqlite"):
        return
    async with world(database_url, tmp_path) as place:
        await place.vote(await place.ask())
        with pytest.raises((DBAPIError, StoreUnavailable)):
            await place.services.store.write(lambda tx: tx.connection.execute(text(statement)))
        before = await place.services.store.read(lambda tx: tx.audit.last())
        assert before > 0
