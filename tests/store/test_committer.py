"""Group commit on SQLite: statements on the loop's thread, waiting on another."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.core.errors import StoreUnavailable
from app.store import committer, turn
from app.store.engine import Store
from app.store.turn import Turn
from app.store.tx import Change, Tx
from app.store.units import Result, Session, Unit
from tests.support.locking import locked
from tests.support.world import world

LONG = 20


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[Store, None]:
    async with (
        asyncio.timeout(LONG),
        world(f"sqlite:///{tmp_path}/a.db", tmp_path) as opened,
    ):
        yield opened.services.store


def put(name: str) -> Callable[[Tx], str]:
    def work(tx: Tx) -> str:
        tx.people.put_setting(name, "1")
        return name

    return work


def where(_tx: Tx) -> int:
    return threading.get_ident()


async def turns_of_the_loop() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


async def written(store: Store, *names: str) -> list[str]:
    return await store.read(lambda tx: [name for name in names if tx.people.setting(name)])


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Hold the sizes of the groups that are run, of however busy a machine."""
    monkeypatch.setattr(committer, "_SLICE", float(LONG))
    sizes, run = list[int](), Session.run

    def counted(session: Session, units: Iterable[Unit]) -> tuple[list[Result], list[Change]]:
        done = run(session, units)
        sizes.append(len(done[0]))
        return done

    monkeypatch.setattr(Session, "run", counted)
    return sizes


async def test_statements_run_where_the_loop_runs_and_long_ones_do_not(store: Store) -> None:
    here = threading.get_ident()
    assert await store.write(where) == here
    assert await store.write(where, long=True) != here
    assert await store.write(put("after"), long=True) == "after"
    assert await written(store, "after") == ["after"]


@pytest.mark.requirement("OPS-1")
async def test_the_loop_goes_on_while_another_process_writes(store: Store) -> None:
    with locked(store):
        writing = asyncio.gather(store.write(put("a")), store.write(put("b"), long=True))
        assert await written(store, "a", "b") == []
        await turns_of_the_loop()
        assert await written(store, "a", "b") == []
        assert not writing.done()
    assert await writing == ["a", "b"]


@pytest.mark.requirement("OPS-1")
async def test_a_turn_that_another_process_has_is_waited_for(store: Store) -> None:
    other = Turn(store.database.engine(writer=False))
    other.take()
    writing = asyncio.gather(store.write(put("a")))
    await turns_of_the_loop()
    assert not writing.done()
    other.give()
    other.close()
    assert await writing == ["a"]


@pytest.mark.requirement("T65", "T67")
async def test_a_lock_that_is_never_given_back_is_an_outage_for_all_who_wait(
    store: Store, monkeypatch: pytest.MonkeyPatch, groups: list[int]
) -> None:
    monkeypatch.setattr(committer, "BUSY_MS", 10)
    with locked(store):
        done = await asyncio.gather(
            *(store.write(put(f"n{n}")) for n in range(5)),
            store.write(put("long"), long=True),
            return_exceptions=True,
        )
    assert [type(one) for one in done] == [StoreUnavailable] * 6
    assert groups == []
    assert await store.write(put("later")) == "later"
    assert await written(store, *(f"n{n}" for n in range(5)), "long", "later") == ["later"]


async def test_a_group_ends_when_it_has_had_its_time(
    store: Store, monkeypatch: pytest.MonkeyPatch, groups: list[int]
) -> None:
    monkeypatch.setattr(committer, "_SLICE", -1)
    await asyncio.gather(*(store.write(put(f"n{n}")) for n in range(5)))
    assert groups == [1] * 5
    assert len(await written(store, *(f"n{n}" for n in range(5)))) == 5


@pytest.mark.requirement("T65")
@pytest.mark.parametrize("long", [False, True])
async def test_what_cannot_be_committed_does_not_reach_the_others(
    store: Store, long: bool, groups: list[int]
) -> None:
    def dangling(tx: Tx) -> None:
        """Break a promise that SQLite looks at in the commit."""
        tx.connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        tx.connection.exec_driver_sql(
            "INSERT INTO group_members (group_id, person_id) VALUES ('grp_none', 'per_none')"
        )

    works: list[Any] = [
        store.write(put("a")), store.write(dangling, long=long), store.write(put("b"))
    ]  # fmt: skip
    done = await asyncio.gather(*works, return_exceptions=True)
    assert [done[0], type(done[1]), done[2]] == ["a", sqlite3.IntegrityError, "b"]
    assert await written(store, "a", "b") == ["a", "b"]
    assert groups == ([1, 2] if long else [3, 1, 1, 1])
    assert await store.write(put("later")) == "later"


@pytest.mark.requirement("T65")
@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (asyncio.CancelledError, asyncio.CancelledError),
        (GeneratorExit, GeneratorExit),
        (StopIteration, RuntimeError),
    ],
)
async def test_nothing_that_a_unit_raises_stops_the_others(
    store: Store, raised: type[BaseException], told: type[BaseException]
) -> None:
    def broken(tx: Tx) -> None:
        tx.people.put_setting("broken", "1")
        raise raised

    done = await asyncio.gather(
        store.write(put("a")), store.write(broken), store.write(put("b")), return_exceptions=True
    )
    assert [done[0], type(done[1]), done[2]] == ["a", told, "b"]
    assert await written(store, "a", "broken", "b") == ["a", "b"]


async def test_a_listener_that_fails_does_not_stop_the_writing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: errors.append(context))

    def fails(_changes: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(store.signals, "publish", fails)
        assert await store.write(put("a")) == "a"
        await turns_of_the_loop()
    assert await store.write(put("b")) == "b"
    assert [type(context["exception"]) for context in errors] == [ZeroDivisionError]


@pytest.mark.requirement("T65")
async def test_what_is_queued_at_the_end_is_still_written(store: Store, tmp_path: Path) -> None:
    second = Store(f"sqlite:///{tmp_path}/a.db")
    await second.open()
    with locked(store):
        writes = asyncio.gather(*(second.write(put(f"n{n}"), long=n == 3) for n in range(5)))
        closing = asyncio.gather(second.close())
        await turns_of_the_loop()
        assert not closing.done()
    await closing
    assert await writes == [f"n{n}" for n in range(5)]


@pytest.mark.requirement("T65")
async def test_after_the_end_nothing_is_written_and_nobody_waits(tmp_path: Path) -> None:
    async with asyncio.timeout(LONG), world(f"sqlite:///{tmp_path}/a.db", tmp_path):
        second = Store(f"sqlite:///{tmp_path}/a.db")
        await second.open()
        await second.close()
        with pytest.raises(StoreUnavailable):
            await second.write(put("late"))


@pytest.mark.requirement("T65")
async def test_a_turn_that_cannot_be_given_back_changes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_given: object) -> None:
        raise OSError

    def broken(tx: Tx) -> None:
        tx.people.put_setting("broken", "1")
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(turn, "fcntl", SimpleNamespace(flock=fails, LOCK_UN=8, LOCK_EX=2, LOCK_NB=4))
        with pytest.raises(OSError):
            await store.write(put("a"))
    with monkeypatch.context() as patch:
        real = turn.fcntl.flock
        patch.setattr(
            turn.fcntl, "flock", lambda file, how: fails() if how == 8 else real(file, how)
        )
        done = await asyncio.gather(
            store.write(put("b")), store.write(broken), return_exceptions=True
        )
    assert [done[0], type(done[1])] == ["b", ZeroDivisionError]
    assert await store.write(put("c")) == "c"
    assert await written(store, "a", "b", "broken", "c") == ["b", "c"]


async def test_units_of_their_own_and_groups_take_turns(store: Store, groups: list[int]) -> None:
    order: list[str] = []

    def noted(name: str) -> Callable[[Tx], None]:
        return lambda _tx: order.append(name)

    with locked(store):
        works = [store.write(noted(f"long{n}"), long=True) for n in range(3)]
        works += [store.write(noted("short")) for _ in range(2)]
        together = asyncio.gather(*works)
        await turns_of_the_loop()
    await together
    assert order.index("short") < order.index("long2") and len(groups) == 4
