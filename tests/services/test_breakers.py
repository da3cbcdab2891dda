"""Circuit breakers of targets: fed by outcomes, shared by processes, closed by people."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.core.audit import Actor, ActorKind
from app.core.breaker import State
from app.core.errors import MissingRole, NotFound, TargetUnavailable
from app.core.jobs import Postponed
from app.core.principals import Caller
from app.core.request import Request, Status
from app.factory import services
from app.services.intake import Asked
from tests.support.upstream import Upstream
from tests.support.world import FakeClock, World, world

pytestmark = pytest.mark.requirement("LIM-1")

DEAD = "http://127.0.0.1:1"


@pytest.fixture
async def place(database_url: str, tmp_path: Path, clock: FakeClock) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path, clock=clock) as opened:
        await opened.policy("all", "allow", {"action": "http.request"})
        yield opened


async def inline(place: World, path: str = "/x", who: Caller | None = None) -> Request:
    asked = Asked(
        action="http.request", params={"method": "GET", "path": path}, context={},
        target="upstream",
    )  # fmt: skip
    return (await place.services.inline.call(who or place.robot, asked, None))[0]


async def another(place: World) -> Caller:
    """Return another agent."""
    agents, mine = place.services.agents, place.robot.key
    agent = await agents.create(place.anne, name="another")
    assert mine is not None
    key, _ = await agents.create_key(
        place.anne, name="k", scopes=sorted(mine.scopes), agent_id=agent.id
    )
    return Caller(Actor(ActorKind.AGENT, agent.id, agent.name), key.scopes, agent=agent, key=key)


async def broken(place: World) -> str:
    """Break a target and return its id."""
    target = await place.target(DEAD, breaker_failures=3, breaker_cool_down=30)
    for _ in range(3):
        assert (await inline(place)).status is Status.FAILED
    return target.id


async def test_failures_open_it_and_then_nothing_is_recorded(place: World) -> None:
    name = await broken(place)
    assert place.services.breakers.of(name).state is State.OPEN
    before = await place.services.store.read(lambda tx: len(tx.audit.since(0, 10_000)))
    for _ in range(20):
        with pytest.raises(TargetUnavailable) as refused:
            await inline(place)
        assert refused.value.retry_after == 30
    entries = await place.services.store.read(lambda tx: tx.audit.since(0, 10_000))
    assert [one[2] for one in entries[before:]] == ["request.refused"]


async def test_what_was_approved_waits_for_it(place: World, clock: FakeClock) -> None:
    await broken(place)
    queued = await place.call("GET", "/y")
    with pytest.raises(Postponed) as later:
        await place.services.execution.run(queued.id)
    assert later.value.seconds == 30
    assert (await place.get(queued)).status is Status.APPROVED
    clock.move(30)
    await place.services.execution.run(queued.id)
    assert (await place.get(queued)).attempt == 1


async def test_another_process_sees_it_and_probes_are_shared(
    place: World, clock: FakeClock
) -> None:
    name = await broken(place)
    async with services(place.services.settings, clock=clock, parts=[]) as second:
        assert second.breakers.of(name).state is State.OPEN
        clock.move(30)
        target = await place.services.store.read(lambda tx: tx.targets.get(name))
        assert target is not None
        one = await place.services.store.write(lambda tx: place.services.breakers.admit(tx, target))
        two = await second.store.write(lambda tx: second.breakers.admit(tx, target))
    assert (one, two) == (0, 30)


async def test_a_probe_that_goes_well_closes_it(place: World, clock: FakeClock) -> None:
    async with Upstream() as upstream:
        target = await place.target(upstream.url, breaker_failures=2, breaker_cool_down=30)
        other = await another(place)
        for who in (place.robot, other):
            await inline(place, "/status/503", who)
        assert place.services.breakers.of(target.id).state is State.OPEN
        clock.move(30)
        assert (await inline(place, "/echo")).status is Status.SUCCEEDED
        assert place.services.breakers.of(target.id).state is State.CLOSED
        assert await place.services.store.read(lambda tx: tx.limits.breaker(target.id)) is None


async def test_no_agent_alone_stops_the_others(place: World, clock: FakeClock) -> None:
    async with Upstream() as upstream:
        target = await place.target(upstream.url, breaker_failures=4, breaker_cool_down=30)
        other = await another(place)
        for _ in range(20):
            await inline(place, "/status/503")
        assert place.services.breakers.of(target.id).state is State.CLOSED
        assert (await inline(place, "/echo", other)).status is Status.SUCCEEDED
        for who in (other, other, place.robot):
            await inline(place, "/status/503", who)
        assert place.services.breakers.of(target.id).state is State.OPEN
        clock.move(30)
        await inline(place, "/status/503")
        clock.move(30)
        await inline(place, "/status/503")
        assert place.services.breakers.of(target.id).state is State.HALF_OPEN
        assert (await inline(place, "/echo", other)).status is Status.SUCCEEDED


async def test_refusals_of_the_upstream_and_of_ours_never_open_it(place: World) -> None:
    async with Upstream() as upstream:
        target = await place.target(upstream.url, breaker_failures=1)
        for _ in range(5):
            await inline(place, "/status/404")
        assert place.services.breakers.of(target.id).resting


async def test_an_operator_closes_it_at_once_and_that_is_on_record(place: World) -> None:
    name = await broken(place)
    with pytest.raises(MissingRole):
        await place.services.breakers.close(place.ben, name)
    with pytest.raises(NotFound):
        await place.services.breakers.close(place.anne, "tgt_none")
    await place.services.breakers.close(place.anne, name)
    assert place.services.breakers.of(name).resting
    entries = await place.services.store.read(lambda tx: tx.audit.since(0, 10_000))
    assert [one[2] for one in entries if one[2].startswith("breaker")] == [
        "breaker.opened", "breaker.closed",
    ]  # fmt: skip
    assert (await inline(place)).status is Status.FAILED
