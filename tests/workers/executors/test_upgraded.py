"""A flood of messages from an upstream: others have their turn, and it has to wait."""

import asyncio
from typing import Any

import pytest

from workers.executors.upgraded import Upgraded

pytestmark = [pytest.mark.requirement("T60", "T67"), pytest.mark.timeout(30)]


class Line:
    """The client's connection, as far as it is asked for.

    :ivar paused: the upstream has to wait.
    :ivar dropped: nobody waits for the upstream any more.
    """

    def __init__(self) -> None:
        self.transport: Any = self
        self.paused = False
        self.dropped = asyncio.Event()

    def hand_over(self, receiver: object) -> None:
        """Hand nothing over."""

    async def drain(self) -> None:
        """There is room."""

    def get_write_buffer_size(self) -> int:
        """Everything is written at once."""
        return 0

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self.dropped.is_set()

    def write(self, data: bytes) -> None:
        """Write nothing to nobody."""

    def close(self) -> None:
        """Close it, once everything is read."""

    def abort(self) -> None:
        """Close it at once."""
        self.dropped.set()

    def pause_reading(self) -> None:
        """Let it wait."""
        self.paused = True

    def resume_reading(self) -> None:
        """Let it go on."""
        self.paused = False


async def test_others_have_their_turn_between_thousands_of_empty_messages() -> None:
    line = Line()
    upgraded, turns, many = Upgraded(line), 0, 100_000
    upgraded.feed_data(b"\x81\x00" * many)
    over = asyncio.Event()

    async def others() -> None:
        nonlocal turns
        while not over.is_set():
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(others())
        for _ in range(many):
            assert await upgraded.receive() == ""
        over.set()
    assert turns > 40


async def test_an_upstream_waits_while_nobody_takes_its_messages() -> None:
    line = Line()
    upgraded = Upgraded(line)
    for _ in range(3):
        upgraded.feed_data(b"\x81\x00" * 60_000)
    assert line.paused
    for _ in range(60_000):
        await upgraded.receive()
    assert not line.paused


async def test_what_came_before_the_end_is_still_heard() -> None:
    upgraded = Upgraded(Line())
    upgraded.feed_data(b"\x81\x05hello\x81\x03you")
    upgraded.feed_eof()
    assert [await upgraded.receive() for _ in range(3)] == ["hello", "you", None]
    assert upgraded.failure == "answer_cut"


async def test_an_upstream_that_reads_nothing_keeps_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.executors.upgraded._LAST_SECONDS", 0)
    line = Line()
    Upgraded(line).leave(1001)
    async with asyncio.timeout(5):
        await line.dropped.wait()
