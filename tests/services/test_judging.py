"""Today's policies hold for what was asked and decided before, to the last moment."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.core.action import unseal
from app.core.errors import AlreadyDecided
from app.core.jobs import Postponed
from app.core.request import Ballot, Choice, Request, Status
from app.services.bundles import Bundles
from app.services.decisions import Decisions
from app.services.execution import Execution
from app.services.inline import Inline
from app.services.intake import Asked, Intake
from app.services.judging import judged_by
from app.services.policies import Policies
from app.services.spooling import Room
from app.store.tx import Tx
from tests.services.test_execution import disable_triggers
from tests.support.bundles import bundle
from tests.support.upstream import Upstream
from tests.support.world import FakeClock, World, world

POST: dict[str, object] = {"http.method": "POST"}


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


@dataclass(frozen=True)
class Process:
    """Another process, which is told of no change: its compiled set is as old as its start."""

    intake: Intake
    execution: Execution
    room: Room

    @property
    def inline(self) -> Inline:
        return Inline(self.intake, self.execution, self.room)


async def started(place: World) -> Process:
    services = place.services
    policies = Policies(services.store, services.ids, services.clock)
    await policies.refresh()
    return Process(
        replace(services.intake, policies=policies),
        replace(services.execution, policies=policies),
        services.inline.room,
    )


@pytest.mark.requirement("T40")
async def test_no_claim_is_judged_by_an_older_set(place: World, upstream: Upstream) -> None:
    await place.target(upstream.url)
    request = await place.vote(await place.call("POST", "/echo"))
    several = await place.vote(await bundle(place, "/echo/1", "/echo/2"))
    execution = (await started(place)).execution
    bundles, store = Bundles(execution), place.services.store
    await place.policy("stop", "deny", POST)
    held = await store.write(lambda tx: execution.claim(tx, request.id))
    assert isinstance(held, Postponed)
    held = await store.write(lambda tx: bundles.claim(tx, several.id))
    assert isinstance(held, Postponed)
    await execution.run(request.id)
    await bundles.run(several.id)
    assert (await place.get(request)).status is Status.CANCELLED
    assert (await place.get(several)).status is Status.CANCELLED
    assert upstream.log == []


@pytest.mark.requirement("T40", "GW-2")
async def test_no_door_runs_by_an_older_set(place: World, upstream: Upstream) -> None:
    await place.target(upstream.url)
    match: dict[str, object] = {"http.method": "GET"}
    await place.policy("reads", "allow", match)
    inline = (await started(place)).inline
    await place.policy("a stop", "deny", match)
    asked = Asked("http.request", {"method": "GET", "path": "/echo"}, {}, target="upstream")
    request, result = await inline.call(place.robot, asked, None)
    assert (request.status, result, upstream.log) == (Status.DENIED, None, [])


@pytest.mark.requirement("T40")
@pytest.mark.parametrize("counts", [False, True])
async def test_nothing_is_allowed_by_an_older_set(place: World, counts: bool) -> None:
    match: dict[str, object] = {"action": "send_mail"}
    if counts:
        await place.policy("flood", "deny", {"counters.agent_hour": {"gt": 100}})
    await place.policy("mail", "allow", match)
    intake = (await started(place)).intake
    await place.policy("look", "review", match)
    request = await intake.submit(place.robot, Asked("send_mail", {}, {}))
    assert request.status is Status.PENDING


@pytest.mark.requirement("T40")
@pytest.mark.parametrize(
    ("recorded", "revision"),
    [('{"revision":5}', 5), ('{"revision":51}', 51), ('{"revision":"5"}', -1), ("{}", -1)],
)
def test_the_whole_revision_is_read(recorded: str, revision: int) -> None:
    assert judged_by(recorded) == revision


PLAIN: dict[str, object] = {"action": "send_mail"}


async def change(
    place: World, effect: str, match: dict[str, object] = PLAIN, **rule: object
) -> None:
    """Give the one rule of the one policy another effect, or more."""
    (policy,) = await place.services.policies.list(place.anne)
    document: dict[str, Any] = {
        **policy.document, "rules": [{"name": "rule", "effect": effect, "match": match, **rule}],
    }  # fmt: skip
    await place.services.policies.update(place.anne, policy.id, document, version=policy.version)


@pytest.mark.requirement("T40", "KEY-4")
@pytest.mark.parametrize(
    ("today", "code"),
    [
        ({"effect": "deny"}, "policy_denies"),
        ({"effect": "review", "route": {"quorum": 3}}, "policy_asks_more"),
        ({"effect": "review", "route": {"quorum": 1, "approvers": ["role:admin"]}}, ""),
        ({"effect": "allow"}, ""),
    ],
)
async def test_a_plain_action_is_granted_by_the_policies_in_force(
    place: World, today: dict[str, Any], code: str
) -> None:
    await place.policy("asks", "review", {"action": "send_mail"}, route={"quorum": 2})
    request = await place.ask("send_mail")
    assert (await place.vote(request, place.ben)).status is Status.PENDING
    await change(place, **today)
    if code:
        with pytest.raises(AlreadyDecided, match="cancelled"):
            await place.vote(request)
    else:
        await place.vote(request)
    after = await place.get(request)
    assert after.status is (Status.CANCELLED if code else Status.APPROVED)
    trail = await place.services.requests.trail(place.anne, request.id)
    assert (trail[-1].details.get("code") or "") == code
    told = json.loads(after.outcome or "{}")
    assert (told.get("code", ""), bool(told.get("detail"))) == (code, bool(code))
    assert not code or "request.approved" not in [record.event for record in trail]


@pytest.mark.requirement("T40", "DEC-1")
async def test_who_decides_is_told_before_that_policies_would_stop_it(place: World) -> None:
    await place.policy("asks", "review", {"action": "send_mail"})
    request = await place.ask("send_mail")
    foreseen = place.services.decisions.foreseen
    assert await foreseen(request, unseal(request.payload)) == []
    await change(place, "deny")
    (told,) = await foreseen(request, unseal(request.payload))
    assert told.startswith("the policies in force deny this by now (rule rule of asks)")
    assert await foreseen(request, None) == []
    await change(place, "allow")
    assert await foreseen(request, unseal(request.payload)) == []
    await change(place, "deny")
    denied = await place.vote(request, choice=Choice.DENY)
    assert await foreseen(denied, unseal(request.payload)) == []


@pytest.mark.requirement("T40", "KEY-4")
@pytest.mark.parametrize("what", ["frozen", "revoked", "rotated"])
async def test_who_was_stopped_is_granted_nothing(place: World, what: str) -> None:
    request = await place.ask("send_mail")
    if what == "frozen":
        await place.services.agents.freeze(place.anne, place.agent.id)
    elif what == "revoked":
        await place.services.agents.revoke_key(place.anne, place.key.id)
    else:
        await place.services.agents.rotate_key(place.anne, place.key.id)
    with pytest.raises(AlreadyDecided, match="cancelled"):
        await place.vote(request)
    assert (await place.get(request)).status is Status.CANCELLED


@pytest.mark.requirement("T40")
async def test_no_ballot_is_judged_by_an_older_set(place: World) -> None:
    await place.policy("asks", "review", {"action": "send_mail"})
    request = await place.ask("send_mail")
    services = place.services
    policies = Policies(services.store, services.ids, services.clock)
    await policies.refresh()
    await change(place, "deny")
    ballot = Ballot(Choice.APPROVE, request.digest, "", "api")
    with pytest.raises(AlreadyDecided):
        await Decisions(services.store, policies).cast(place.anne, request.id, ballot)
    assert (await place.get(request)).status is Status.CANCELLED


@pytest.mark.requirement("KEY-1")
async def test_a_key_that_is_over_runs_nothing(place: World, upstream: Upstream) -> None:
    await place.target(upstream.url)
    request = await place.vote(await place.call("POST", "/echo"))
    several = await place.vote(await bundle(place, "/echo/1"))
    await place.services.agents.rotate_key(place.anne, place.key.id)
    for one in (request, several):
        await carried_out(place, one)
        assert (await place.get(one)).status is Status.CANCELLED
    assert upstream.log == []


@pytest.mark.requirement("T40")
@pytest.mark.parametrize(
    ("today", "comment", "code"),
    [
        ({"route": {"valid_for": 60}}, "", "grant_over"),
        ({"route": {"valid_for": 999}}, "", ""),
        ({"obligations": [{"kind": "require_reason"}]}, " ", "policy_asks_more"),
        ({"obligations": [{"kind": "require_reason"}]}, "because", ""),
    ],
)
async def test_an_approval_holds_as_long_and_as_well_as_asked_today(
    database_url: str,
    tmp_path: Path,
    upstream: Upstream,
    today: dict[str, Any],
    comment: str,
    code: str,
) -> None:
    clock = FakeClock()
    async with world(database_url, tmp_path, clock=clock) as place:
        await place.target(upstream.url)
        await place.policy("asks", "review", POST, route={"valid_for": 86_400})
        request = await place.call("POST", "/echo")
        ballot = Ballot(Choice.APPROVE, request.digest, comment, "api")
        await place.services.decisions.cast(place.anne, request.id, ballot)
        await change(place, "review", POST, **today)
        clock.move(600)
        await carried_out(place, request)
        after = await place.get(request)
        assert after.status is (Status.CANCELLED if code else Status.SUCCEEDED)
        trail = await place.services.requests.trail(place.anne, request.id)
        assert not code or trail[-1].details["code"] == code


async def tampered(place: World, what: str) -> None:
    """Write into the database as somebody with its password could."""

    def write(tx: Tx) -> None:
        disable_triggers(tx)
        tx.connection.execute(
            text(
                "UPDATE requests SET status = 'approved', valid_until = 9999999999999999,"
                f" decided_by = 'policy:-', {what}"
            )
        )

    await place.services.store.write(write)


@pytest.mark.requirement("T1")
@pytest.mark.parametrize(
    "what",
    [
        "effect = 'allow'", "quorum = 0, route = ''", "quorum = 1, route = ''",
        "effect = 'allow', verdict = replace(verdict, '\"review\"', '\"allow\"')",
        "effect = 'allow', verdict = '{\"revision\":9,\"obligations\":[]}'",
    ],
)  # fmt: skip
@pytest.mark.parametrize("several", [False, True])
async def test_columns_beside_the_payload_let_nothing_through(
    place: World, upstream: Upstream, what: str, several: bool
) -> None:
    await place.target(upstream.url)
    await place.policy("asks", "review", {"http.method": "POST"}, route={"quorum": 2})
    request = await (bundle(place, "/echo/1") if several else place.call("POST", "/echo"))
    assert (request.status, request.quorum) == (Status.PENDING, 2)
    await place.vote(request)
    await tampered(place, what.replace(":", "\\:"))
    await carried_out(place, request)
    assert (await place.get(request)).status is Status.CANCELLED
    assert upstream.log == []


async def carried_out(place: World, request: Request) -> None:
    await place.services.execution.run(request.id)
    await place.services.bundles.run(request.id)


@pytest.mark.requirement("T1", "POL-1")
@pytest.mark.parametrize(
    "match",
    [
        {"remote_ip": "10.0.0.9"},
        {"counters.agent_hour": {"lt": 1}},
        {"time": {"days": ["tue"], "from": "22:00", "to": "22:15", "zone": "UTC"}},
    ],
)
async def test_what_was_allowed_at_submission_stays_so(
    database_url: str, tmp_path: Path, upstream: Upstream, match: dict[str, object]
) -> None:
    """Where from, how many and when is as it was then, while the policies are the same."""
    clock = FakeClock()
    async with world(database_url, tmp_path, clock=clock) as place:
        await place.target(upstream.url)
        await place.policy("reads", "allow", {"http.method": "GET", **match})
        asked = Asked("http.request", {"method": "GET", "path": "/echo"}, {}, target="upstream")
        request = await place.services.intake.submit(place.robot, asked, remote_ip="10.0.0.9")
        assert request.status is Status.APPROVED
        clock.move(300)
        await carried_out(place, request)
        assert (await place.get(request)).status is Status.SUCCEEDED
