"""Decisions: who may, when, about what; and one winner."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.errors import (
    AlreadyDecided,
    AlreadyVoted,
    AssentryError,
    DigestMismatch,
    Forbidden,
    InvalidField,
    InvalidKey,
    MissingRole,
    MissingScope,
    NotAnApprover,
    NotFound,
    RequestExpired,
)
from app.core.principals import Person, Role, Scope
from app.core.request import Ballot, Choice, Request, Status
from app.services.judging import OWNER_MAY_DECIDE
from tests.support.postgres import PostgresServer
from tests.support.world import FakeClock, World, person_caller, with_scopes, world

pytestmark = pytest.mark.requirement("DEC-1", "DEC-2")


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


async def person(place: World, name: str, role: Role, *, active: bool = True) -> Person:
    someone = Person(
        place.services.ids.new("per"), name, f"{name}@example.org", role, "-", active,
        place.services.clock.now(),
    )  # fmt: skip
    await place.services.store.write(lambda tx: tx.people.add(someone))
    return someone


async def test_yes_and_no(place: World) -> None:
    yes = await place.vote(await place.ask())
    assert (yes.status, yes.decided_by) == (Status.APPROVED, f"person:{place.anne.actor.id}")
    no = await place.vote(await place.ask(), choice=Choice.DENY)
    assert (no.status, no.comment) == (Status.DENIED, "looked at it")


@pytest.mark.requirement("T21", "T22", "T2")
async def test_an_agent_never_decides(place: World) -> None:
    request = await place.ask()
    for scopes in ([Scope.REQUEST_CREATE], [Scope.REQUEST_DECIDE], list(Scope)):
        with pytest.raises(Forbidden):
            await place.vote(request, with_scopes(place.robot, *scopes))
    assert (await place.get(request)).status is Status.PENDING


@pytest.mark.requirement("T21")
async def test_the_owner_decides_only_where_that_is_allowed(place: World) -> None:
    owner = await place.services.store.read(lambda tx: tx.people.get(place.agent.owner_id or ""))
    assert owner is not None
    request = await place.ask()
    with pytest.raises(NotAnApprover):
        await place.vote(request, person_caller(owner))
    await place.services.store.write(lambda tx: tx.people.put_setting(OWNER_MAY_DECIDE, "true"))
    assert (await place.vote(request, person_caller(owner))).status is Status.APPROVED


async def test_a_rule_may_forbid_the_owner_and_name_approvers(place: World) -> None:
    await place.services.store.write(lambda tx: tx.people.put_setting(OWNER_MAY_DECIDE, "true"))
    route = {"owner_may_decide": False, "approvers": ["role:admin"]}
    await place.policy("strict", "review", {"action": "send_mail"}, route=route)
    request = await place.ask()
    with pytest.raises(NotAnApprover):
        await place.vote(request, place.ben)
    assert (await place.vote(request, place.anne)).status is Status.APPROVED


@pytest.mark.requirement("T26")
async def test_eligibility_is_read_at_commit(place: World) -> None:
    request = await place.ask()
    someone = await person(place, "carl", Role.APPROVER)
    caller = person_caller(someone)
    await place.services.store.write(lambda tx: tx.people.put(replace(someone, active=False)))
    with pytest.raises(MissingRole):
        await place.vote(request, caller)
    demoted = replace(someone, role=Role.VIEWER)
    await place.services.store.write(lambda tx: tx.people.put(demoted))
    with pytest.raises(MissingRole):
        await place.vote(request, caller)


async def test_a_viewer_does_not_decide(place: World) -> None:
    viewer = person_caller(await person(place, "vera", Role.VIEWER))
    with pytest.raises((MissingRole, MissingScope)):
        await place.vote(await place.ask(), viewer)


async def test_a_ballot_is_about_one_payload(place: World) -> None:
    request, other = await place.ask(), await place.ask("other_thing")
    ballot = Ballot(Choice.APPROVE, other.digest, "", "api")
    with pytest.raises(DigestMismatch):
        await place.services.decisions.cast(place.anne, request.id, ballot)


@pytest.mark.requirement("T30")
async def test_a_quorum_needs_different_people(place: World) -> None:
    await place.policy("two", "review", {"action": "send_mail"}, route={"quorum": 2})
    request = await place.ask()
    assert (await place.vote(request)).status is Status.PENDING
    with pytest.raises(AlreadyVoted):
        await place.vote(request)
    assert (await place.vote(request, place.ben)).status is Status.APPROVED
    assert len(await place.services.requests.votes(place.anne, request.id)) == 2


async def test_a_comment_can_be_required(place: World) -> None:
    obligations = [{"kind": "require_reason"}]
    await place.policy("why", "review", {"action": "send_mail"}, obligations=obligations)
    request = await place.ask()
    ballot = Ballot(Choice.APPROVE, request.digest, "  ", "api")
    with pytest.raises(InvalidField):
        await place.services.decisions.cast(place.anne, request.id, ballot)
    assert (await place.vote(request)).status is Status.APPROVED


async def test_the_loser_gets_the_stored_outcome(place: World) -> None:
    request = await place.vote(await place.ask(), choice=Choice.DENY)
    with pytest.raises(AlreadyDecided) as refused:
        await place.vote(request, place.ben)
    assert refused.value.extra["status"] == "denied"
    assert refused.value.extra["decided_by"] == f"person:{place.anne.actor.id}"


@pytest.mark.requirement("T28", "REQ-6")
async def test_too_late_is_too_late(database_url: str, tmp_path: Path) -> None:
    clock = FakeClock()
    async with world(database_url, tmp_path, clock=clock) as place:
        request = await place.ask(expires_in=10)
        clock.move(10)
        with pytest.raises(RequestExpired):
            await place.vote(request)
        assert await place.services.sweeps.tick() == 1
        assert (await place.get(request)).status is Status.EXPIRED


@pytest.mark.requirement("REQ-6")
async def test_an_approval_lapses(database_url: str, tmp_path: Path) -> None:
    clock = FakeClock()
    async with world(database_url, tmp_path, clock=clock, approval_ttl=30) as place:
        request = await place.vote(await place.ask())
        clock.move(29)
        assert await place.services.sweeps.tick() == 0
        clock.move(1)
        assert await place.services.sweeps.tick() == 1
        assert (await place.get(request)).status is Status.EXPIRED


@pytest.mark.requirement("T27")
async def test_racing_ballots_have_one_winner(place: World) -> None:
    requests = [await place.ask() for _ in range(20)]

    async def race(number: int) -> int:
        wins = 0
        for request in requests:
            who = place.anne if number % 2 else place.ben
            choice = Choice.APPROVE if number % 3 else Choice.DENY
            try:
                await place.vote(request, who, choice)
                wins += 1
            except AssentryError as error:
                assert isinstance(error, AlreadyDecided | AlreadyVoted)  # noqa: PT017
        return wins

    async with asyncio.TaskGroup() as group:
        races = [group.create_task(race(number)) for number in range(8)]
    assert sum(task.result() for task in races) == len(requests)
    for request in requests:
        trail = await place.services.requests.trail(place.anne, request.id)
        assert [record.event for record in trail[1:]] in (["request.approved"], ["request.denied"])
        assert len(await place.services.requests.votes(place.anne, request.id)) == 1


@pytest.mark.requirement("REQ-5")
async def test_withdrawing(place: World) -> None:
    request = await place.ask()
    assert (await place.services.decisions.cancel(place.robot, request.id)).status is (
        Status.CANCELLED
    )
    with pytest.raises(NotFound):
        await place.services.decisions.cancel(place.robot, "req_none")
    with pytest.raises((MissingRole, MissingScope)):
        await place.services.decisions.cancel(place.ben, (await place.ask()).id)


async def test_settling_needs_a_note(place: World) -> None:
    with pytest.raises(InvalidField):
        await place.services.decisions.settle(place.anne, "req_1", ran=True, note=" ")


def ballot(request: Request, choice: Choice = Choice.APPROVE) -> Ballot:
    return Ballot(choice, request.digest, "", "api")


@pytest.mark.requirement("DEC-9")
async def test_a_selection_is_decided_each_on_its_own(place: World) -> None:
    asked = [await place.ask() for _ in range(4)]
    await place.vote(asked[1], choice=Choice.DENY)
    selection = {request.id: ballot(request) for request in asked[:3]}
    selection[asked[2].id] = replace(selection[asked[2].id], digest="0" * 64)
    selection["req_nothing"] = ballot(asked[0])
    done = await place.services.decisions.cast_all(place.anne, selection)
    assert list(done) == list(selection)
    first, *others = done.values()
    assert isinstance(first, Request) and first.status is Status.APPROVED
    assert [type(other) for other in others] == [AlreadyVoted, DigestMismatch, NotFound]
    assert (await place.get(asked[2])).status is Status.PENDING
    assert (await place.get(asked[3])).status is Status.PENDING


@pytest.mark.requirement("DEC-9")
async def test_a_selection_has_bounds_and_needs_a_person(place: World) -> None:
    request = await place.ask()
    for selection in ({}, {f"req_{number}": ballot(request) for number in range(51)}):
        with pytest.raises(InvalidField):
            await place.services.decisions.cast_all(place.anne, selection)
    with pytest.raises(Forbidden):
        await place.services.decisions.cast_all(place.robot, {request.id: ballot(request)})


@pytest.mark.requirement("DEC-9")
async def test_two_selections_at_once_decide_each_request_once(place: World) -> None:
    asked = [await place.ask() for _ in range(30)]
    eve = person_caller(await person(place, "eve", Role.APPROVER))
    yes = {request.id: ballot(request) for request in asked}
    no = {request.id: ballot(request, Choice.DENY) for request in reversed(asked)}
    decisions = place.services.decisions
    results = await asyncio.gather(decisions.cast_all(place.anne, yes), decisions.cast_all(eve, no))
    for request in asked:
        said = [result[request.id] for result in results]
        (won,) = [item for item in said if isinstance(item, Request)]
        (lost,) = [item for item in said if isinstance(item, AlreadyDecided)]
        assert lost.extra["status"] == won.status == (await place.get(request)).status


@pytest.mark.requirement("T28", "REQ-6")
async def test_a_vote_that_waited_for_its_turn_is_in_time_or_not(
    database_url: str, tmp_path: Path
) -> None:
    """The unit before it in the same commit takes until the request is over."""
    clock = FakeClock()
    async with world(database_url, tmp_path, clock=clock) as place:
        request = await place.ask("send_mail", expires_in=60)
        slow = place.services.store.write(lambda _tx: clock.move(61))
        done = await asyncio.gather(slow, place.vote(request), return_exceptions=True)
        assert isinstance(done[1], RequestExpired)
        assert (await place.get(request)).approvals == 0


@pytest.mark.requirement("T28", "REQ-6")
async def test_a_vote_that_waited_for_a_lock_is_in_time_or_not(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    clock = FakeClock()
    with postgres.database() as url:
        async with world(url, tmp_path, clock=clock) as place:
            request = await place.ask("send_mail", expires_in=60)
            engine = place.services.store.database.engine(writer=False)
            with engine.connect() as other:
                locked = text("SELECT id FROM requests WHERE id = :id FOR UPDATE")
                other.execute(locked, {"id": request.id})
                vote = asyncio.ensure_future(place.vote(request))
                waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
                async with asyncio.timeout(30):
                    while not other.execute(waiting).scalar_one():  # noqa: ASYNC110 - a database
                        await asyncio.sleep(0.01)
                clock.move(61)
                other.rollback()
            with pytest.raises(RequestExpired):
                await vote
            engine.dispose()


@pytest.mark.requirement("KEY-1", "T26")
async def test_a_key_revoked_meanwhile_takes_nothing_back_and_settles_nothing(place: World) -> None:
    """The caller is one that this process still believes in; the store knows better."""
    request, decisions = await place.ask(), place.services.decisions
    revoked = replace(place.key, revoked_at=place.services.clock.now())
    await place.services.store.write(lambda tx: tx.agents.put_key(revoked))
    with pytest.raises(InvalidKey):
        await decisions.cancel(place.robot, request.id)
    with pytest.raises(InvalidKey):
        await decisions.settle(
            replace(place.anne, key=place.key), request.id, ran=True, note="looked"
        )
    assert (await place.get(request)).status is Status.PENDING
