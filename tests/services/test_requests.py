"""Reading: own requests only, pages by keyset, waiting without missing anything."""

import asyncio
import os
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import Forbidden, MissingScope, NotFound
from app.core.instant import plus
from app.core.outcome import HttpResult
from app.core.principals import Agent
from app.core.request import Status
from app.factory import services
from app.services.execution import RESULT
from app.services.requests import RequestFilter
from app.services.results import pack
from app.services.sealing import CannotOpen, MasterKey, Sealer
from app.store.tx import Tx
from tests.support.world import World, agent_caller, world


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


async def another(place: World) -> World:
    agent = Agent(
        place.services.ids.new("agt"), "other", "", place.agent.owner_id, 0, False,
        place.services.clock.now(),
    )  # fmt: skip
    key = replace(place.key, id=place.services.ids.new("key"), agent_id=agent.id, sha256="1" * 64)

    def write(tx: Tx) -> None:
        tx.agents.add(agent)
        tx.agents.add_key(key)

    await place.services.store.write(write)
    return World(place.services, agent, key, place.anne, place.ben, agent_caller(agent, key))


@pytest.mark.requirement("REQ-3", "T25")
async def test_an_agent_sees_only_its_own(place: World) -> None:
    other = await another(place)
    mine, theirs = await place.ask(), await other.ask()
    for call in (place.services.requests.get, place.services.requests.trail,
                 place.services.requests.result, place.services.requests.votes,
                 place.services.requests.version):  # fmt: skip
        with pytest.raises(NotFound) as foreign:
            await call(place.robot, theirs.id)
        with pytest.raises(NotFound) as missing:
            await call(place.robot, "req_none")
        assert foreign.value.detail == missing.value.detail
    page = await place.services.requests.page(place.robot, RequestFilter(), 50)
    assert [item.id for item in page.items] == [mine.id]
    page = await place.services.requests.page(
        place.robot, RequestFilter(agent_id=other.agent.id), 50
    )
    assert page.items == []
    with pytest.raises(NotFound):
        await place.services.feed.wait(place.robot, theirs.id, 5)


@pytest.mark.requirement("REQ-3")
async def test_the_version_is_that_of_what_is_read(place: World) -> None:
    made, read = await place.ask(), place.services.requests
    assert await read.version(place.robot, made.id) == made.version
    await place.vote(made)
    after = await read.get(place.robot, made.id)
    assert await read.version(place.anne, made.id) == after.version > made.version
    with pytest.raises(MissingScope):
        await read.version(replace(place.robot, scopes=frozenset()), made.id)


@pytest.mark.requirement("REQ-3")
async def test_pages_by_keyset(place: World) -> None:
    made = [await place.ask("send_mail" if n % 2 else "other") for n in range(7)]
    newest_first = [request.id for request in reversed(made)]
    seen: list[str] = []
    wanted = RequestFilter()
    while True:
        page = await place.services.requests.page(place.anne, wanted, 3)
        seen += [item.id for item in page.items]
        if page.older is None:
            break
        wanted = RequestFilter(before=page.older)
    assert seen == newest_first
    back = await place.services.requests.page(place.anne, RequestFilter(after=seen[3]), 2)
    assert [item.id for item in back.items] == seen[1:3]
    assert back.newer is not None and back.older is not None
    filtered = await place.services.requests.page(place.anne, RequestFilter(action="other"), 50)
    assert len(filtered.items) == 4


@pytest.mark.requirement("REQ-3")
async def test_filters(place: World) -> None:
    first = await place.ask()
    await place.vote(first)
    second = await place.ask()
    pages = {
        "status": RequestFilter(statuses=(Status.PENDING,)),
        "from": RequestFilter(created_from=second.created_at),
    }
    for wanted in pages.values():
        page = await place.services.requests.page(place.anne, wanted, 50)
        assert [item.id for item in page.items] == [second.id]
    page = await place.services.requests.page(
        place.anne, RequestFilter(created_to=second.created_at), 50
    )
    assert [item.id for item in page.items] == [first.id]


@pytest.mark.requirement("REQ-4")
async def test_waiting_ends_with_the_decision(place: World) -> None:
    request = await place.ask()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        waits = [
            group.create_task(place.services.feed.wait(place.robot, request.id, 30))
            for _ in range(50)
        ]
        await asyncio.sleep(0)
        await place.vote(request)
    assert {task.result().status for task in waits} == {Status.APPROVED}


@pytest.mark.requirement("REQ-4")
async def test_waiting_gives_up_in_time(place: World) -> None:
    request = await place.ask()
    waited = await place.services.feed.wait(place.robot, request.id, 0.05)
    assert waited.status is Status.PENDING
    assert not place.services.store.signals.waiters


@pytest.mark.requirement("REQ-4")
async def test_a_decision_in_another_process_wakes_waiters(
    database_url: str, tmp_path: Path, place: World
) -> None:
    request = await place.ask()
    settings = place.services.settings
    async with services(settings) as elsewhere, asyncio.timeout(20), asyncio.TaskGroup() as group:
        waiting = group.create_task(place.services.feed.wait(place.robot, request.id, 15))
        there = World(elsewhere, place.agent, place.key, place.anne, place.ben, place.robot)
        await there.vote(request)
    assert waiting.result().status is Status.APPROVED


async def test_people_follow_everything_and_agents_do_not(place: World) -> None:
    with pytest.raises(Forbidden):
        await anext(place.services.feed.follow(place.robot))
    stream = place.services.feed.follow(place.anne)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        first = group.create_task(anext(stream))  # pyright: ignore[reportArgumentType]
        await asyncio.sleep(0)
        request = await place.ask()
    assert first.result() == ("request", request.id)
    await stream.aclose()  # pyright: ignore[reportAttributeAccessIssue]


async def test_the_detail_says_who_may_decide(place: World) -> None:
    request = await place.ask()
    detail = await place.services.requests.detail(place.anne, request.id)
    assert detail.may_decide and detail.submission is not None
    assert {person.name for person in detail.deciders} == {"Anne", "Ben"}
    owner = await place.services.store.read(lambda tx: tx.people.get(place.agent.owner_id or ""))
    assert detail.owner == owner


@pytest.mark.requirement("VLT-1", "T61")
async def test_results_are_wrapped_anew(place: World) -> None:
    old, new = MasterKey("old", os.urandom(32)), MasterKey("new", os.urandom(32))
    former = replace(place.services.requests, sealer=Sealer([old]))
    both = replace(place.services.requests, sealer=Sealer([new, old]))
    after = replace(place.services.requests, sealer=Sealer([new]))
    result = HttpResult(200, (), b"an answer")
    made = [await place.ask() for _ in range(3)]
    for request in made:
        sealed = former.sealer.seal(RESULT, request.id, pack(result))
        await place.services.store.write(
            lambda tx, at=request.id, value=sealed: tx.results.put(
                at, value, tx.now, plus(tx.now, 60)
            )
        )
    assert await both.rewrap_results() == 3
    assert await both.rewrap_results() == 0
    for request in made:
        assert await after.result(place.robot, request.id) == result
    with pytest.raises(CannotOpen):
        await former.result(place.robot, made[0].id)
