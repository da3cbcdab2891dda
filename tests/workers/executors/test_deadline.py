"""A deadline that moves: it ends what is late, and nothing else."""

import asyncio

import pytest

from workers.executors.deadline import Deadline

LONG = 60.0
pytestmark = pytest.mark.requirement("T48")


async def test_what_is_late_ends_with_a_timeout() -> None:
    with pytest.raises(TimeoutError), Deadline(0.001):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None and not task.cancelling()


async def test_what_ends_before_is_left_alone() -> None:
    with Deadline(LONG) as deadline:
        await asyncio.sleep(0)
    assert deadline.when() is not None
    deadline.reschedule(0.0)
    await asyncio.sleep(0)


async def _moved(seconds: float, *moves: tuple[float, float | None]) -> float:
    """Wait for the end of a deadline; return how long it took.

    :param moves: after how many seconds, and to how many seconds from then; None stops it.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()

    def move(deadline: Deadline, to: float | None) -> None:
        deadline.reschedule(None if to is None else loop.time() + to)

    async def wait() -> None:
        with Deadline(seconds) as deadline:
            for after, to in moves:
                loop.call_later(after, move, deadline, to)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await wait()
    return loop.time() - began


async def test_a_time_that_moves_ahead_ends_it_sooner() -> None:
    assert await _moved(LONG, (0.0, 0.0), (0.0, 0.0)) < LONG / 2


async def test_a_time_that_moves_back_is_looked_at_when_the_first_is_over() -> None:
    assert await _moved(0.02, (0.0, 0.06)) >= 0.055


async def test_one_that_stands_still_ends_nothing_until_it_goes_on() -> None:
    assert await _moved(0.02, (0.0, None), (0.06, 0.0)) >= 0.055


async def test_somebody_elses_cancellation_stays_one() -> None:
    began = asyncio.Event()

    async def wait() -> None:
        with Deadline(LONG):
            began.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(wait())
        await began.wait()
        task.cancel()
    assert task.cancelled()


async def test_an_error_on_the_way_stays_what_it_is() -> None:
    with pytest.raises(KeyError), Deadline(LONG):
        raise KeyError
