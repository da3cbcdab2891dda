"""Execution: approval binds the bytes, at most once, and an honest unknown."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.core.errors import IllegalTransition
from app.core.jobs import Postponed
from app.core.request import Status
from app.services.execution import Claimed
from app.services.intake import Asked
from app.store.tx import Tx
from tests.support.upstream import Upstream
from tests.support.world import FakeClock, World, person_caller, world

pytestmark = pytest.mark.requirement("EXE-1")


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


async def approved(place: World, upstream: Upstream, method: str = "POST") -> str:
    await place.target(upstream.url)
    request = await place.call(method, "/echo?x=1", json={"amount": 5})
    assert request.status is Status.PENDING
    after = await place.vote(request)
    assert after.status is Status.APPROVED
    return request.id


async def run(place: World, request_id: str) -> Status:
    await place.services.execution.run(request_id)
    return (await place.services.requests.get(place.anne, request_id)).status


async def test_the_approved_bytes_are_sent_and_the_answer_is_kept(
    place: World, upstream: Upstream
) -> None:
    request_id = await approved(place, upstream)
    assert await run(place, request_id) is Status.SUCCEEDED
    (received,) = upstream.log
    assert (received.method, received.target) == ("POST", "/echo?x=1")
    assert received.body == b'{"amount":5}'
    result = await place.services.requests.result(place.robot, request_id)
    assert result is not None and result.status == 200


async def test_it_runs_once_however_often_it_is_asked(place: World, upstream: Upstream) -> None:
    request_id = await approved(place, upstream)
    for _ in range(3):
        await run(place, request_id)
    assert len(upstream.log) == 1


LISTS = {
    "call_not_permitted": "UPDATE targets SET settings = "
    """replace(settings, '"deny": []', '"deny": [{"methods": ["POST"], "paths": []}]')""",
    "target_not_permitted": "UPDATE api_keys SET permissions = "
    """'[{"target": "upstream", "methods": ["GET"], "paths": []}]'""",
}


@pytest.mark.requirement("GW-5", "KEY-2")
@pytest.mark.parametrize("code", LISTS)
async def test_lists_of_calls_hold_when_it_runs(
    place: World, upstream: Upstream, code: str
) -> None:
    request_id = await approved(place, upstream)
    await place.services.store.write(lambda tx: tx.connection.execute(text(LISTS[code])))
    assert await run(place, request_id) is Status.CANCELLED
    assert not upstream.log
    trail = await place.services.requests.trail(place.anne, request_id)
    assert code in str(trail[-1].details)


MUTATIONS = {
    "payload": "UPDATE requests SET "
    "payload = CAST(replace(CAST(payload AS TEXT), '5', '6') AS BLOB)",
    "payload and digest": "UPDATE requests SET payload = CAST('{}' AS BLOB), "
    "digest = '44136fa355b3678a1146ad16"
    "f7e8649e94fb4fc21fe77e8310c060f61caaff8a'",
    "digest": "UPDATE requests SET digest = 'aa' || substr(digest, 3)",
    "action": "UPDATE requests SET action = 'send_mail'",
    "agent": "UPDATE requests SET agent_id = 'agt_other'",
    "target": "UPDATE requests SET target_name = 'other'",
    "urgency": "UPDATE requests SET urgency = 'low'",
    "reason": "UPDATE requests SET reason = 'because'",
    "effect": "UPDATE requests SET effect = 'deny', quorum = 2",
    "kind": "UPDATE requests SET kind = 'plain'",
}


@pytest.mark.requirement("REQ-2", "T1", "T3")
@pytest.mark.parametrize("what", MUTATIONS)
async def test_a_change_between_approval_and_claim_is_refused(
    place: World, upstream: Upstream, what: str
) -> None:
    request_id = await approved(place, upstream)
    statement = MUTATIONS[what]
    if place.services.store.kind == "postgresql":
        statement = statement.replace(
            "CAST(replace(CAST(payload AS TEXT), '5', '6') AS BLOB)",
            "convert_to(replace(convert_from(payload, 'UTF8'), '5', '6'), 'UTF8')",
        ).replace("payload = CAST('{}' AS BLOB)", "payload = convert_to('{}', 'UTF8')")

    def tamper(tx: Tx) -> None:
        disable_triggers(tx)
        tx.connection.execute(text(statement))

    await place.services.store.write(tamper)
    await place.services.execution.run(request_id)
    after = await place.services.store.read(lambda tx: tx.requests.get(request_id))
    assert after is not None and upstream.log == []
    assert after.status is (Status.APPROVED if what == "kind" else Status.CANCELLED) or (
        after.status in (Status.CANCELLED, Status.EXPIRED)
    )


def disable_triggers(tx: Tx) -> None:
    """Do what somebody with the database's password could do."""
    if tx.engine == "postgresql":
        tx.connection.execute(text("ALTER TABLE requests DISABLE TRIGGER ALL"))
        tx.connection.execute(text("SET session_replication_role = replica"))
        return
    names = tx.connection.execute(
        text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'requests'")
    )
    for (name,) in names.all():
        tx.connection.execute(text(f'DROP TRIGGER "{name}"'))
    tx.connection.execute(text("PRAGMA defer_foreign_keys = ON"))


@pytest.mark.requirement("T3")
async def test_a_changed_target_voids_the_approval(place: World, upstream: Upstream) -> None:
    request_id = await approved(place, upstream)

    def change(tx: Tx) -> None:
        tx.connection.execute(text("UPDATE targets SET revision = revision + 1"))

    await place.services.store.write(change)
    assert await run(place, request_id) is Status.CANCELLED
    assert upstream.log == []


@pytest.mark.requirement("T40")
async def test_a_policy_made_since_is_heeded(place: World, upstream: Upstream) -> None:
    request_id = await approved(place, upstream)
    await place.policy("stop", "deny", {"http.method": "POST"})
    assert await run(place, request_id) is Status.CANCELLED
    assert upstream.log == []


@pytest.mark.requirement("T21", "T40")
async def test_an_owners_approval_does_not_outlive_the_leave_for_it(
    place: World, upstream: Upstream
) -> None:
    """A policy let owners decide, and takes that back before it runs."""
    match: dict[str, object] = {"http.method": "POST"}
    await place.policy("lenient", "review", match, route={"owner_may_decide": True})
    await place.target(upstream.url)
    request = await place.call("POST", "/echo")
    people = await place.services.people.list(place.anne)
    (olga,) = [person for person in people if person.id == place.agent.owner_id]
    assert (await place.vote(request, person_caller(olga))).status is Status.APPROVED
    (lenient,) = await place.services.policies.list(place.anne)
    strict: dict[str, Any] = {
        **lenient.document, "rules": [{"name": "rule", "effect": "review", "match": match}],
    }  # fmt: skip
    await place.services.policies.update(place.anne, lenient.id, strict, version=lenient.version)
    await place.services.policies.refresh()
    assert await run(place, request.id) is Status.CANCELLED
    assert upstream.log == []


async def test_a_frozen_agent_runs_nothing(place: World, upstream: Upstream) -> None:
    request_id = await approved(place, upstream)
    await place.services.store.write(
        lambda tx: tx.connection.execute(text("UPDATE agents SET frozen = true")) and None
    )
    assert await run(place, request_id) is Status.CANCELLED
    assert upstream.log == []


async def test_nothing_sent_is_tried_again_then_fails(place: World) -> None:
    await place.target("http://127.0.0.1:1")
    request = await place.vote(await place.call("GET", "/echo"))
    statuses = [await run(place, request.id) for _ in range(3)]
    assert statuses == [Status.APPROVED, Status.APPROVED, Status.FAILED]


async def test_a_cut_answer_is_unknown_and_settled_by_a_person(
    place: World, upstream: Upstream
) -> None:
    await place.target(upstream.url)
    request = await place.vote(await place.call("POST", "/truncated"))
    assert await run(place, request.id) is Status.UNKNOWN
    assert await run(place, request.id) is Status.UNKNOWN
    assert len(upstream.log) == 1
    settled = await place.services.decisions.settle(
        place.anne, request.id, ran=True, note="the upstream's log has it"
    )
    assert settled.status is Status.SUCCEEDED


@pytest.mark.requirement("T29")
async def test_a_lost_worker_leaves_unknown_only_after_sent(
    database_url: str, tmp_path: Path, upstream: Upstream
) -> None:
    clock = FakeClock()
    async with world(database_url, tmp_path, clock=clock) as place:
        await place.target(upstream.url)
        before = await place.vote(await place.call("POST", "/echo"))
        after = await place.vote(await place.call("POST", "/echo"))
        execution = place.services.execution
        for request, is_sent in ((before, False), (after, True)):
            claim = execution.claim
            claimed = await place.services.store.write(
                lambda tx, name=request.id, claim=claim: claim(tx, name)
            )
            assert isinstance(claimed, Claimed)
            if is_sent:
                await execution._mark_sent(claimed)
        assert await place.services.sweeps.tick() == 0
        clock.move(120)
        assert await place.services.sweeps.tick() == 2
        assert (await place.get(before)).status is Status.APPROVED
        assert (await place.get(after)).status is Status.UNKNOWN
        assert upstream.log == []


@pytest.mark.requirement("EXE-1")
async def test_a_stale_holder_changes_nothing(
    database_url: str, tmp_path: Path, upstream: Upstream
) -> None:
    clock = FakeClock()
    async with world(database_url, tmp_path, clock=clock) as place:
        await place.target(upstream.url)
        request = await place.vote(await place.call("POST", "/echo"))
        execution = place.services.execution
        claimed = await place.services.store.write(lambda tx: execution.claim(tx, request.id))
        assert isinstance(claimed, Claimed)
        clock.move(120)
        await place.services.sweeps.tick()
        assert await run(place, request.id) is Status.SUCCEEDED
        await execution.carry_out(claimed)
        assert (await place.get(request)).status is Status.SUCCEEDED
        assert len(upstream.log) == 1


async def test_a_plain_action_is_not_executed_here(place: World) -> None:
    request = await place.vote(await place.ask("restart_service"))
    assert await run(place, request.id) is Status.APPROVED


async def test_withdrawn_and_decided_requests_stay_so(place: World, upstream: Upstream) -> None:
    request_id = await approved(place, upstream)
    after = await place.services.decisions.cancel(place.robot, request_id, "changed my mind")
    assert after.status is Status.CANCELLED
    assert await run(place, request_id) is Status.CANCELLED
    with pytest.raises(IllegalTransition):
        await place.services.decisions.cancel(place.robot, request_id)
    assert upstream.log == []


async def test_an_allowed_call_needs_no_person(place: World, upstream: Upstream) -> None:
    await place.target(upstream.url)
    await place.policy("reads", "allow", {"http.method": "GET"})
    asked = Asked("http.request", {"method": "GET", "path": "/echo"}, {}, target="upstream")
    request = await place.services.intake.submit(place.robot, asked)
    assert request.status is Status.APPROVED
    assert await run(place, request.id) is Status.SUCCEEDED


@pytest.mark.requirement("T40", "DEC-3")
@pytest.mark.parametrize(
    ("today", "runs"),
    [
        ({"quorum": 1, "valid_for": 60}, True),
        ({"approvers": ["person:anne@example.org"]}, True),
        ({"quorum": 2}, False),
        ({"approvers": ["group:nobody"]}, False),
    ],
)
async def test_a_route_that_asks_more_since_then_stops_it(
    database_url: str, tmp_path: Path, upstream: Upstream, today: dict[str, object], runs: bool
) -> None:
    async with world(database_url, tmp_path) as place:
        await place.target(upstream.url)
        request = await place.vote(await place.call("POST", "/echo"))
        await place.policy("stricter", "review", {"http.method": {"eq": "POST"}}, route=today)
        assert await run(place, request.id) is (Status.SUCCEEDED if runs else Status.CANCELLED)
        assert len(upstream.log) == runs


@pytest.mark.requirement("EXE-1")
async def test_an_agent_has_its_share_of_the_workers(
    database_url: str, tmp_path: Path, upstream: Upstream
) -> None:
    async with world(database_url, tmp_path) as place:
        await place.target(upstream.url)
        most = place.services.settings.agent_concurrency
        made = [await place.vote(await place.call("POST", "/echo")) for _ in range(most + 1)]
        claim, store = place.services.execution.claim, place.services.store
        for request in made[:most]:
            held = await store.write(lambda tx, name=request.id: claim(tx, name))
            assert isinstance(held, Claimed)
        with pytest.raises(Postponed):
            await place.services.execution.run(made[-1].id)
        assert (await place.get(made[-1])).status is Status.APPROVED
