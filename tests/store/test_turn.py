"""Processes that share a SQLite database take turns at writing."""

import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.store import turn
from app.store.database import Database
from app.store.turn import Turn

LONG = 20

Make = Callable[[], Turn]


@pytest.fixture
def make(tmp_path: Path) -> Generator[Make, None, None]:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    with ExitStack() as stack:

        def made() -> Turn:
            one = Turn(database.engine(writer=False))
            stack.callback(one.close)
            return one

        yield made


@pytest.mark.requirement("OPS-1")
def test_the_second_waits_until_the_first_is_done(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_PATIENCE", LONG)
    first, second = make(), make()
    order: list[str] = []
    asked = threading.Event()

    def wait() -> None:
        asked.set()
        second.take()
        order.append("second")

    first.take()
    waiting = threading.Thread(target=wait)
    waiting.start()
    assert asked.wait(LONG)
    waiting.join(0.05)
    assert not second.try_take()
    order.append("first")
    first.give()
    waiting.join(LONG)
    assert order == ["first", "second"]


@pytest.mark.requirement("OPS-1")
def test_who_never_gives_it_back_holds_nobody_up_for_good(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_PATIENCE", 0.01)
    stopped, other = make(), make()
    stopped.take()
    other.take()
    other.give()
    other.take()


def test_the_file_is_its_owners_only(make: Make, tmp_path: Path) -> None:
    make().take()
    assert (tmp_path / "a.db-turn").stat().st_mode & 0o777 == 0o600
