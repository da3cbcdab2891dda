"""What a job of each kind does, and that doing it again does nothing."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.core.jobs import JobKind
from app.core.request import Choice, Status
from tests.support.upstream import Upstream
from tests.support.world import World, world
from workers.handlers import HANDLERS

pytestmark = pytest.mark.requirement("EXE-1")


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


async def handle(place: World, request_id: str) -> None:
    await HANDLERS[JobKind.EXECUTE](place.services, request_id)


@pytest.mark.requirement("T29")
async def test_an_approved_call_is_made_once_however_often_its_job_comes(place: World) -> None:
    async with Upstream() as upstream:
        await place.target(upstream.url)
        request = await place.call("POST", "/echo/1", json={})
        await place.vote(request)
        for _ in range(3):
            await handle(place, request.id)
        assert [received.target for received in upstream.log] == ["/echo/1"]
    assert (await place.get(request)).status is Status.SUCCEEDED


@pytest.mark.requirement("T28")
async def test_what_is_not_approved_is_left_alone(place: World) -> None:
    async with Upstream() as upstream:
        await place.target(upstream.url)
        waiting = await place.call("POST", "/echo/1", json={})
        denied = await place.call("POST", "/echo/2", json={})
        await place.vote(denied, choice=Choice.DENY)
        withdrawn = await place.call("POST", "/echo/3", json={})
        await place.services.decisions.cancel(place.robot, withdrawn.id)
        asked = (waiting, denied, withdrawn)
        before = [await place.get(request) for request in asked]
        for request in asked:
            await handle(place, request.id)
        assert [await place.get(request) for request in asked] == before
        assert upstream.log == []


async def test_an_action_that_the_agent_takes_itself_is_not_carried_out(place: World) -> None:
    request = await place.ask("send_mail")
    await place.vote(request)
    await handle(place, request.id)
    assert (await place.get(request)).status is Status.APPROVED


async def test_a_job_of_nothing_ends_quietly(place: World) -> None:
    await handle(place, "req_none")
