"""Group commit: units share a commit, never a fate."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.core.errors import NotFound, StoreBusy, StoreUnavailable
from app.store import engine
from app.store.engine import Store
from app.store.tx import Change, Tx
from app.store.units import Result, Session, Unit
from tests.support.canary import CANARY
from tests.support.postgres import PostgresServer
from tests.support.world import World, world

LONG = 20


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with asyncio.timeout(LONG), world(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
def store(place: World) -> Store:
    return place.services.store


class Gate:
    """Holds every writer, so that what is queued meanwhile is one group.

    PostgreSQL's are held in a unit of work, SQLite's by the lock of another connection.
    """

    def __init__(self, store: Store) -> None:
        self._go = threading.Event()
        self._inside = threading.Semaphore(0)
        self._store = store
        self._other: sqlite3.Connection | None = None

    def _hold(self, _tx: Tx) -> None:
        self._inside.release()
        assert self._go.wait(LONG)

    async def close(self, group: asyncio.TaskGroup) -> None:
        """Wait until all writers are held; they may be held in one group after another."""
        if self._store.kind == "sqlite":
            path = str(self._store.database.url.database)
            self._other = sqlite3.connect(path, isolation_level=None)
            self._other.execute("BEGIN IMMEDIATE")
            return
        for _ in range(2):
            group.create_task(self._store.write(self._hold))
            await asyncio.to_thread(self._inside.acquire, timeout=LONG)

    async def queued(self, count: int) -> None:
        """Wait until so many units wait behind the held writers."""
        held = 0 if self._other else 2
        while self._store._pending < held + count:  # noqa: ASYNC110 - no event for it  # pyright: ignore[reportPrivateUsage]
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    def open(self) -> None:
        self._go.set()
        if self._other:
            self._other.close()


async def grouped(store: Store, *works: Callable[[Tx], Any]) -> list[Any]:
    """Run units that are queued at once, and return their results or errors."""
    gate = Gate(store)
    async with asyncio.TaskGroup() as group:
        await gate.close(group)
        together = group.create_task(_all(store, works))
        await gate.queued(len(works))
        gate.open()
    return together.result()


async def _all(store: Store, works: tuple[Callable[[Tx], Any], ...]) -> list[Any]:
    return list(
        await asyncio.gather(*(store.write(work) for work in works), return_exceptions=True)
    )


def put(name: str) -> Callable[[Tx], str]:
    def work(tx: Tx) -> str:
        tx.people.put_setting(name, "1")
        return name

    return work


def refuse(name: str, *, first: bool) -> Callable[[Tx], None]:
    """Return a unit that refuses before or after it has written."""

    def work(tx: Tx) -> None:
        if not first:
            tx.people.put_setting(name, "1")
        message = f"{name} is refused"
        raise NotFound(message)

    return work


async def written(store: Store, *names: str) -> list[str]:
    return await store.read(lambda tx: [name for name in names if tx.people.setting(name)])


async def test_what_one_turn_of_the_loop_brings_is_one_commit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups, run = list[int](), Session.run

    def counted(session: Session, units: Iterable[Unit]) -> tuple[list[Result], list[Change]]:
        results, changes = run(session, units)
        groups.append(len(results))
        return results, changes

    monkeypatch.setattr(Session, "run", counted)
    await asyncio.gather(*(store.write(lambda tx: tx.now) for _ in range(20)))
    assert groups == [20]


@pytest.mark.requirement("T65")
async def test_a_bug_in_one_unit_does_not_reach_the_others(store: Store) -> None:
    def bug(tx: Tx) -> None:
        tx.people.put_setting("bug", "1")
        raise ZeroDivisionError

    done = await grouped(store, put("a"), bug, put("b"))
    assert [done[0], type(done[1]), done[2]] == ["a", ZeroDivisionError, "b"]
    assert await written(store, "a", "b", "bug") == ["a", "b"]


@pytest.mark.requirement("T65")
async def test_a_broken_statement_does_not_reach_the_others(store: Store) -> None:
    def broken(tx: Tx) -> None:
        tx.people.put_setting(None, "1")  # pyright: ignore[reportArgumentType]

    done = await grouped(store, put("a"), broken, put("b"))
    assert [done[0], isinstance(done[1], Exception), done[2]] == ["a", True, "b"]
    assert await written(store, "a", "b") == ["a", "b"]


@pytest.mark.requirement("T65")
@pytest.mark.parametrize("first", [True, False])
async def test_a_refusal_leaves_nothing_of_its_unit_behind(store: Store, first: bool) -> None:
    done = await grouped(store, put("a"), refuse("no", first=first), put("b"))
    assert [done[0], type(done[1]), done[2]] == ["a", NotFound, "b"]
    assert await written(store, "a", "b", "no") == ["a", "b"]


@pytest.mark.requirement("T65")
async def test_an_entry_of_the_record_goes_with_its_unit(place: World, store: Store) -> None:
    def note(tx: Tx) -> None:
        tx.note("test.noted", place.anne.actor, "test:1")
        message = "after all"
        raise NotFound(message)

    before = await store.read(lambda tx: tx.audit.last())
    done = await grouped(store, note, put("a"))
    assert isinstance(done[0], NotFound)
    assert await store.read(lambda tx: tx.audit.last()) == before


@pytest.mark.requirement("T65", "AUD-1")
async def test_what_cannot_be_recorded_does_not_happen(place: World, store: Store) -> None:
    request = await place.ask()

    def rename(before: str, after: str) -> Callable[[Tx], None]:
        def work(tx: Tx) -> None:
            tx.connection.exec_driver_sql(f"ALTER TABLE {before} RENAME TO {after}")

        return work

    await store.write(rename("audit", "lost"))
    for attempt in (
        place.ask(),
        place.vote(request),
        place.services.agents.freeze(place.anne, place.agent.id),
        place.services.vault.create(place.anne, name="c", kind="bearer", fields={"token": CANARY}),
    ):
        with pytest.raises(Exception, match=r"audit|does not answer"):
            await attempt
    await store.write(rename("lost", "audit"))
    assert (await place.get(request)).version == request.version
    assert not (await place.services.agents.get(place.anne, place.agent.id)).frozen
    assert await place.services.vault.list(place.anne) == []
    assert (await place.vote(request)).decided_by is not None


@pytest.mark.requirement("T65")
async def test_a_caller_that_left_changes_nothing_for_the_others(store: Store) -> None:
    gate = Gate(store)
    async with asyncio.TaskGroup() as group:
        await gate.close(group)
        gone, stays = (group.create_task(store.write(put(name))) for name in ("gone", "stays"))
        await gate.queued(2)
        gone.cancel()
        gate.open()
        assert await stays == "stays"
    assert gone.cancelled()
    assert await written(store, "stays") == ["stays"]
    assert await store.write(put("later")) == "later"
    assert store._pending == 0  # pyright: ignore[reportPrivateUsage]


@pytest.mark.requirement("T67")
async def test_too_long_a_queue_refuses_at_once_and_recovers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(store)
    async with asyncio.TaskGroup() as group:
        await gate.close(group)
        monkeypatch.setattr(engine, "QUEUE_LIMIT", store._pending + 1)  # pyright: ignore[reportPrivateUsage]
        queued = group.create_task(store.write(put("queued")))
        await gate.queued(1)
        with pytest.raises(StoreBusy) as refused:
            await store.write(put("refused"))
        assert refused.value.retry_after == 1
        gate.open()
        assert await queued == "queued"
    assert await store.write(put("later")) == "later"
    assert await written(store, "queued", "refused", "later") == ["queued", "later"]


@pytest.mark.requirement("T69")
async def test_sqlite_waits_for_the_disk(database_url: str, tmp_path: Path) -> None:
    if not database_url.startswith("sqlite"):
        return
    async with world(database_url, tmp_path) as place:

        def pragma(tx: Tx) -> tuple[str, int, int]:
            rows = [
                tx.connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
            return (str(rows[0]), int(rows[1]), int(rows[2]))

        assert await place.services.store.write(pragma) == ("wal", 2, 1)


@pytest.mark.requirement("T65")
async def test_what_is_queued_at_the_end_is_still_written(
    database_url: str, tmp_path: Path
) -> None:
    async with world(database_url, tmp_path) as place:
        second = Store(database_url)
        await second.open()
        writes = asyncio.gather(*(second.write(put(f"n{n}")) for n in range(50)))
        await asyncio.sleep(0)
        await second.close()
        assert len(await writes) == 50
        names = [f"n{n}" for n in range(50)]
        assert await written(place.services.store, *names) == names


_GOES_AWAY = (
    (
        "CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN IF NEW.name = 'b' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; "
        "RETURN NULL; END $$"
    ),
    (
        "CREATE CONSTRAINT TRIGGER gone AFTER INSERT ON settings "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gone()"
    ),
)


async def test_a_commit_without_an_answer_is_told_and_not_run_again(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """It may have taken place."""
    runs: list[str] = []

    def counted(name: str) -> Callable[[Tx], str]:
        def work(tx: Tx) -> str:
            runs.append(name)
            return put(name)(tx)

        return work

    def prepare(tx: Tx) -> None:
        for statement in _GOES_AWAY:
            tx.query(text(statement))

    with postgres.database() as url:
        async with asyncio.timeout(LONG), world(url, tmp_path) as place:
            store = place.services.store
            await store.write(prepare)
            done = await grouped(store, *map(counted, "abc"))
            assert [type(one) for one in done] == [StoreUnavailable] * 3
            assert runs == ["a", "b", "c"]
            assert await store.write(put("d")) == "d"
