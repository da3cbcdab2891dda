"""Calls that a door carries out itself: one commit before the bytes leave, one after."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from msgspec import structs

from app.clock import Ids
from app.core.audit import SYSTEM
from app.core.errors import TooBusy, VersionMismatch
from app.core.events import Claim, Fail
from app.core.instant import SECOND, Instant
from app.core.lifecycle import step
from app.core.request import Request, Status, evolve
from app.services.execution import Claimed
from app.services.intake import Asked
from app.store.tx import Tx
from tests.support.upstream import Upstream
from tests.support.world import FakeClock, World, world

pytestmark = pytest.mark.requirement("GW-2", "EXE-1")


@pytest.fixture
async def place(
    database_url: str, tmp_path: Path, clock: FakeClock, upstream: Upstream
) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path, clock=clock) as opened:
        await opened.target(upstream.url)
        await opened.policy("all", "allow", {"action": "http.request"})
        yield opened


ASKED = Asked(
    action="http.request", params={"method": "GET", "path": "/echo"}, context={}, target="upstream"
)


async def called(place: World) -> Request:
    return (await place.services.inline.call(place.robot, ASKED, None))[0]


async def claimed(place: World) -> Claimed:
    """Record and claim a call, and stop there."""
    held: list[Claimed] = []

    def take(tx: Tx, request: Request) -> Request:
        found = place.services.execution.claim_new(tx, request)
        assert isinstance(found, Claimed)
        held.append(found)
        return found.request

    await place.services.intake.submit(place.robot, ASKED, then=take)
    return held[-1]


async def test_where_a_connection_stands_it_is_marked_with_its_claim(
    place: World, clock: FakeClock, upstream: Upstream
) -> None:
    cold = await claimed(place)
    assert cold.request.sent_at is None
    assert (await called(place)).status is Status.SUCCEEDED
    warm = await claimed(place)
    stored = await place.get(warm.request)
    assert (stored.status, stored.sent_at) == (Status.EXECUTING, warm.request.sent_at)
    assert stored == warm.request and stored.sent_at is not None
    clock.move(120)
    await place.services.sweeps.tick()
    assert (await place.get(warm.request)).status is Status.UNKNOWN
    assert (await place.get(cold.request)).status in {Status.APPROVED, Status.EXPIRED}
    await place.services.execution.carry_out(warm, once=True)
    assert (await place.get(warm.request)).status is Status.UNKNOWN
    assert len(upstream.log) == 1


@pytest.mark.requirement("REQ-1")
async def test_a_repeat_is_answered_however_busy_the_agent_is(
    place: World, upstream: Upstream
) -> None:
    asked = structs.replace(ASKED, idempotency_key="k", fingerprint="f")
    first, _ = await place.services.inline.call(place.robot, asked, None)
    for _ in range(place.services.settings.agent_concurrency):
        await claimed(place)
    with pytest.raises(TooBusy):
        await called(place)
    again, _ = await place.services.inline.call(place.robot, asked, None)
    assert again == first and len(upstream.log) == 1


async def test_a_call_may_wait_to_be_written(
    place: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its grant lasts a second from then on, not from when policy was asked (CI, a busy disk)."""
    ids = type(place.services.intake.ids)
    made = ids.new

    def slow(self: Ids, prefix: str, now: Instant) -> str:
        clock.move(5)
        return made(self, prefix, now)

    monkeypatch.setattr(ids, "new", slow)
    done = await called(place)
    assert done.status is Status.SUCCEEDED and done.decided_at == done.created_at + 5 * SECOND


async def test_what_was_marked_and_did_not_start_is_not_said_to_be_sent(
    place: World, upstream: Upstream
) -> None:
    await called(place)
    await upstream.__aexit__(None, None, None)
    after = await called(place)
    assert (after.status, after.sent_at) == (Status.FAILED, None), after.outcome
    assert (await place.get(after)).sent_at is None


async def test_what_takes_its_time_is_looked_at_once_more(
    place: World, clock: FakeClock, upstream: Upstream
) -> None:
    await called(place)
    warm = await claimed(place)
    clock.move(2)
    await place.services.agents.freeze(place.anne, place.agent.id)
    after, result = await place.services.execution.carry_out(warm, once=True)
    assert (after.status, after.sent_at, result) == (Status.FAILED, None, None)
    assert "agent_frozen" in (after.outcome or "") and len(upstream.log) == 1


async def test_a_target_that_was_changed_is_seen_at_once(place: World, upstream: Upstream) -> None:
    await called(place)
    (target,) = await place.services.targets.list(place.anne)
    await place.services.targets.update(place.anne, target.id, enabled=False)
    with pytest.raises(Exception, match="can be called"):
        await called(place)
    assert len(upstream.log) == 1


async def test_a_request_that_is_not_written_yet_counts_and_changes(place: World) -> None:
    request = await place.call("GET", "/x")
    new = evolve(request, {"id": "req_new", "version": 1})

    def write(tx: Tx) -> Request:
        tx.requests.insert(new)
        taken = step(new, Claim(SYSTEM, "w", 60.0), tx.now).after
        with pytest.raises(VersionMismatch):
            tx.requests.update(evolve(new, {"version": 7}), taken)
        tx.requests.update(new, taken)
        assert tx.requests.executing(new.agent_id, by_people=False) == 1
        assert not tx.requests.mark_sent(new.id, taken.fence + 1, tx.now)
        assert tx.requests.mark_sent(new.id, taken.fence, tx.now)
        return evolve(taken, {"sent_at": tx.now})

    after = await place.services.store.write(write)
    assert await place.get(new) == after
    count = await place.services.store.read(
        lambda tx: tx.requests.executing(new.agent_id, by_people=False)
    )
    assert count == 1


async def test_running_calls_are_counted_through_a_transaction(place: World) -> None:
    """A group of units asks once; what the group itself claims and ends counts at once."""
    first = await claimed(place)
    agent_id = first.request.agent_id

    def write(tx: Tx) -> list[int]:
        def running() -> int:
            return tx.requests.executing(agent_id, by_people=False)

        counts = [running()]
        new = evolve(first.request, {"id": "req_new", "version": 1, "status": Status.APPROVED})
        tx.requests.insert(new)
        counts.append(running())
        tx.requests.update(new, step(new, Claim(SYSTEM, "w", 60.0), tx.now).after)
        counts.append(running())
        fence = first.request.fence
        over = step(first.request, Fail(actor=SYSTEM, fence=fence, outcome="{}"), tx.now).after
        tx.requests.update(first.request, over)
        counts.append(running())
        assert tx.requests.executing("agt_other", by_people=False) == 0
        assert tx.requests.executing(agent_id, by_people=True) == 0
        return counts

    assert await place.services.store.write(write) == [1, 1, 2, 1]
    count = await place.services.store.read(
        lambda tx: tx.requests.running(agent_id, by_people=False)
    )
    assert count[0] == 1
