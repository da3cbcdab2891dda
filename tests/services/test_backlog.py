"""What waits for a worker, in figures."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.core.errors import Forbidden
from app.core.jobs import Lane
from tests.support.upstream import Upstream
from tests.support.world import FakeClock, World, world

pytestmark = pytest.mark.requirement("EXE-7")


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path, clock=FakeClock()) as opened:
        yield opened


async def test_what_waits_is_told_by_lane(place: World) -> None:
    clock = place.services.clock
    assert isinstance(clock, FakeClock)
    async with Upstream() as upstream:
        await place.target(upstream.url)
        requests = [await place.call("POST", "/echo", json={"at": at}) for at in range(3)]
        for request in requests:
            await place.vote(request)
    clock.move(2)
    backlog = place.services.backlog
    assert await backlog.place(requests[1].id) is None
    clock.move(59)
    lanes = {item.lane: item for item in await backlog.lanes(place.anne)}
    decided = lanes[Lane.DECIDED]
    assert (decided.due, decided.seconds, decided.late) == (3, 61.0, True)
    assert (lanes[Lane.ALLOWED].due, lanes[Lane.ALLOWED].late) == (0, False)
    assert [await backlog.place(request.id) for request in requests] == [1, 2, 3]
    await place.services.store.write(lambda tx: tx.jobs.claim(Lane.DECIDED, place.agent.id, 1, 60))
    assert [await backlog.place(request.id) for request in requests] == [None, 1, 2]


async def test_agents_are_not_told(place: World) -> None:
    with pytest.raises(Forbidden):
        await place.services.backlog.lanes(place.robot)
