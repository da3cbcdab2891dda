"""A call whose unit of work is run again, because another one of its group failed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from app.core.action import HttpAction
from app.core.asking import build_action
from app.core.errors import NotFound, TargetUnavailable
from app.core.outcome import HttpResult
from app.core.request import Request, Status
from app.services.intake import Asked
from app.services.spooling import Room, spool
from app.store import committer
from app.store.tx import Tx
from tests.support.locking import locked
from tests.support.upstream import Upstream
from tests.support.world import FakeClock, World, world

pytestmark = pytest.mark.requirement("EXE-2", "T65")

ASKED = Asked(
    action="http.request", params={"method": "GET", "path": "/echo"}, context={}, target="upstream"
)


@pytest.fixture
async def place(
    tmp_path: Path, clock: FakeClock, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[World, None]:
    monkeypatch.setattr(committer, "_SLICE", 60.0)  # of however busy a machine, it is one group
    async with world(f"sqlite:///{tmp_path}/a.db", tmp_path, clock=clock) as opened:
        await opened.target(upstream.url)
        yield opened


async def turns_of_the_loop() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


async def run_twice(
    place: World, asked: Asked, meanwhile: Sequence[Coroutine[Any, Any, object]]
) -> tuple[Request, HttpResult | None]:
    """Call in a group that fails; what is asked for ``meanwhile`` is written before its retry."""
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[object]] = []

    def poison(tx: Tx) -> None:
        if not tasks:
            tasks.extend(loop.create_task(one) for one in meanwhile)
        tx.people.put_setting("poison", "1")
        raise NotFound

    store = place.services.store
    with locked(store):
        first = loop.create_task(store.write(lambda tx: tx.people.put_setting("first", "1")))
        await turns_of_the_loop()
        call = loop.create_task(place.services.inline.call(place.robot, asked, None))
        await turns_of_the_loop()
        bad = loop.create_task(store.write(poison))
        await turns_of_the_loop()
    await asyncio.gather(first, bad, return_exceptions=True)
    done = await call
    await asyncio.gather(*tasks)
    return done


async def test_what_people_are_asked_in_the_end_is_not_carried_out(
    place: World, clock: FakeClock, upstream: Upstream
) -> None:
    await place.policy("a few", "allow", {"counters.agent_minute": {"lt": 3}})
    await place.services.inline.call(place.robot, ASKED, None)
    assert len(upstream.log) == 1
    await place.ask()
    await place.ask()
    waiting, _ = await place.services.inline.call(place.robot, ASKED, None)
    assert waiting.status is Status.PENDING
    clock.move(61)
    made, result = await run_twice(place, ASKED, [place.ask() for _ in range(3)])
    assert (made.id, made.status, result) == (waiting.id, Status.PENDING, None)
    assert len(upstream.log) == 1


async def test_what_was_repeated_meanwhile_is_carried_out_once(
    place: World, upstream: Upstream
) -> None:
    await place.policy("all", "allow", {"action": "http.request"})
    await place.services.inline.call(place.robot, ASKED, None)
    asked = structs.replace(ASKED, idempotency_key="once", fingerprint="f")
    again = [place.services.inline.call(place.robot, asked, None)]
    made, result = await run_twice(place, asked, again)
    assert (await place.get(made)).id == made.id and result is None
    assert len(upstream.log) == 2


async def test_a_body_that_is_not_stored_yet_disturbs_nobody(
    place: World, tmp_path: Path, upstream: Upstream
) -> None:
    """It is missed before anything is written, so that the others of its group run once (T67)."""
    runs: list[int] = []
    services, store = place.services, place.services.store
    content = await spool(b"a large body", _nothing_more(), Room(tmp_path, 99, 99).share("agt_1"))
    call = build_action("http.request", {"method": "POST", "path": "/echo"})
    assert isinstance(call, HttpAction)
    asked = structs.replace(ASKED, call=replace(call, detached=content.body))

    def other(tx: Tx) -> None:
        runs.append(1)
        tx.people.put_setting("other", "1")

    with closing(content):
        with locked(store):
            first = asyncio.ensure_future(store.write(other))
            await turns_of_the_loop()
            call_made = asyncio.ensure_future(
                services.inline.call(place.robot, asked, None, None, content)
            )
            await turns_of_the_loop()
            second = asyncio.ensure_future(store.write(other))
            await turns_of_the_loop()
        await asyncio.gather(first, second)
        request, result = await call_made
    assert (request.status, result, len(runs)) == (Status.PENDING, None, 2)
    body_id = await store.read(lambda tx: tx.bodies.of_request(request.id))
    assert body_id is not None
    assert await store.read(lambda tx: tx.bodies.chunk(body_id, 0)) == b"a large body"
    assert not upstream.log


@pytest.mark.requirement("LIM-1")
async def test_a_probe_too_many_disturbs_nobody(place: World, clock: FakeClock) -> None:
    """A breaker that lets one call pass refuses the others before they are written."""
    await place.policy("all", "allow", {"action": "http.request"})
    limits = {"breaker_failures": 2, "breaker_cool_down": 30}
    await place.target("http://127.0.0.1:1", name="dead", **limits)
    asked, store = structs.replace(ASKED, target="dead"), place.services.store
    for _ in range(2):
        await place.services.inline.call(place.robot, asked, None)
    clock.move(31)
    runs: list[int] = []

    def other(tx: Tx) -> None:
        runs.append(1)
        tx.people.put_setting("other", "1")

    with locked(store):
        first = asyncio.ensure_future(store.write(other))
        await turns_of_the_loop()
        calls = [
            asyncio.ensure_future(place.services.inline.call(place.robot, asked, None))
            for _ in range(3)
        ]
        await turns_of_the_loop()
        second = asyncio.ensure_future(store.write(other))
        await turns_of_the_loop()
    done = await asyncio.gather(*calls, return_exceptions=True)
    await asyncio.gather(first, second)
    assert [isinstance(one, TargetUnavailable) for one in done] == [False, True, True]
    assert len(runs) == 2


async def _nothing_more() -> AsyncIterator[bytes]:
    for piece in list[bytes]():
        yield piece
