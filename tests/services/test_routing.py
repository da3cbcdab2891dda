"""Seats, denials, assurance, delegation and ladders, over real stores."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import AlreadyVoted, AssuranceTooLow, MissingRole, NotAnApprover
from app.core.instant import Instant, plus
from app.core.people import Delegation, Group
from app.core.principals import ROLE_SCOPES, Caller, Person, Role
from app.core.request import Ballot, Choice, Request, Status
from app.core.routing import Assurance
from app.store.tx import Tx
from tests.support.world import FakeClock, World, world


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path, clock=FakeClock()) as opened:
        yield opened


async def person(place: World, name: str, role: Role = Role.APPROVER) -> Caller:
    made = Person(f"per_{name}", name, f"{name}@example.org", role, "-", True, Instant(0))
    await place.services.store.write(lambda tx: tx.people.add(made))
    return Caller(made.actor, ROLE_SCOPES[role], person=made)


async def group(place: World, name: str, *members: Caller) -> None:
    ids = tuple(member.person.id for member in members if member.person)
    made = Group(f"grp_{name}", name, "", ids, Instant(0))
    await place.services.store.write(lambda tx: tx.groups.put(made))


async def ask(place: World, route: dict[str, object], **rule: object) -> Request:
    await place.policy("asks", "review", {"action": "send_mail"}, route=route, **rule)
    return await place.ask("send_mail")


async def change(place: World, who: Caller, **fields: object) -> None:
    def write(tx: Tx) -> None:
        found = tx.people.lock(who.person.id if who.person else "")
        assert found is not None
        tx.people.put(replace(found, **fields))

    await place.services.store.write(write)


@pytest.mark.requirement("DEC-3", "DEC-2")
async def test_distinct_people_fill_distinct_seats(place: World) -> None:
    ada, bob = await person(place, "ada"), await person(place, "bob")
    await group(place, "security", ada)
    route: dict[str, object] = {"seats": [["group:security"], ["role:approver"]]}
    request = await ask(place, route)
    assert (await place.vote(request, ada)).approvals == 1
    with pytest.raises(AlreadyVoted):
        await place.vote(request, ada)
    after = await place.vote(request, bob)
    assert (after.status, after.approvals) == (Status.APPROVED, 2)


@pytest.mark.requirement("DEC-3")
async def test_a_seat_that_is_filled_is_said(place: World) -> None:
    ada, bob = await person(place, "ada"), await person(place, "bob")
    await group(place, "security", ada, bob)
    request = await ask(place, {"seats": [["group:security"], ["role:admin"]]})
    await place.vote(request, ada)
    with pytest.raises(NotAnApprover, match="Every seat"):
        await place.vote(request, bob)
    assert (await place.vote(request)).status is Status.APPROVED


@pytest.mark.requirement("DEC-3", "T26")
@pytest.mark.parametrize("fields", [{"active": False}, {"role": Role.VIEWER}])
async def test_votes_of_people_who_lost_their_right_do_not_count(
    place: World, fields: dict[str, object]
) -> None:
    ada, bob = await person(place, "ada"), await person(place, "bob")
    request = await ask(place, {"quorum": 2})
    await place.vote(request, ada)
    await change(place, ada, **fields)
    after = await place.vote(request, bob)
    assert (after.status, after.approvals) == (Status.PENDING, 1)
    assert (await place.vote(request)).status is Status.APPROVED
    with pytest.raises(MissingRole):
        await place.vote(await place.ask("send_mail"), await change_of(place, ada))


async def change_of(place: World, who: Caller) -> Caller:
    found = await place.services.store.read(lambda tx: tx.people.get(who.actor.id))
    return replace(who, person=found)


@pytest.mark.requirement("DEC-3", "T30")
async def test_denials_up_to_the_number_that_ends_it(place: World) -> None:
    ada, bob = await person(place, "ada"), await person(place, "bob")
    request = await ask(place, {"denials": 2, "quorum": 2})
    first = await place.vote(request, ada, Choice.DENY)
    assert (first.status, first.denials) == (Status.PENDING, 1)
    with pytest.raises(AlreadyVoted):
        await place.vote(request, ada)
    second = await place.vote(request, bob, Choice.DENY)
    assert (second.status, second.decided_by) == (Status.DENIED, "person:per_bob")


@pytest.mark.requirement("DEC-4", "POL-4")
async def test_a_weak_vote_is_a_comment(place: World) -> None:
    request = await ask(place, {}, obligations=[{"kind": "require_assurance", "level": "L3"}])
    weak = Ballot(Choice.APPROVE, request.digest, "fine", "link", Assurance.LINK, "d" * 64)
    with pytest.raises(AssuranceTooLow):
        await place.services.decisions.cast(place.anne, request.id, weak)
    after = await place.get(request)
    assert (after.status, after.approvals) == (Status.PENDING, 0)
    trail = await place.services.requests.trail(place.anne, request.id)
    assert trail[-1].event == "request.commented"
    assert trail[-1].details["comment"] == "fine"
    strong = replace(weak, assurance=Assurance.SESSION, channel="dashboard")
    done = await place.services.decisions.cast(place.anne, request.id, strong)
    assert done.status is Status.APPROVED
    (vote,) = await place.services.requests.votes(place.anne, request.id)
    assert (vote.ballot.assurance, vote.ballot.display) == (Assurance.SESSION, "d" * 64)


@pytest.mark.requirement("PPL-4")
async def test_who_is_away_is_stood_in_for_within_the_time_and_the_scope(place: World) -> None:
    ada, bob = await person(place, "ada"), await person(place, "bob")
    request = await ask(place, {"approvers": ["person:ada@example.org"], "expires_in": 9999})
    with pytest.raises(NotAnApprover):
        await place.vote(request, bob)
    now = place.services.clock.now()
    leave = Delegation(
        "dlg_1", ada.actor.id, bob.actor.id, plus(now, 60), plus(now, 120), ("send_*",), "", now,
        ada.actor.reference,
    )  # fmt: skip
    other = replace(leave, id="dlg_2", actions=("read_*",), starts_at=now)
    await place.services.store.write(lambda tx: tx.groups.add_delegation(leave))
    await place.services.store.write(lambda tx: tx.groups.add_delegation(other))
    with pytest.raises(NotAnApprover):
        await place.vote(request, bob)
    clock = place.services.clock
    assert isinstance(clock, FakeClock)
    clock.move(61)
    assert (await place.vote(request, bob)).status is Status.APPROVED
    late = await place.ask("send_mail")
    clock.move(60)
    with pytest.raises(NotAnApprover):
        await place.vote(late, bob)


async def stand_in(place: World, away: Caller, by: Caller) -> None:
    now = place.services.clock.now()
    leave = Delegation(
        f"dlg_{by.actor.id}", away.actor.id, by.actor.id, now, plus(now, 3600), (), "", now, "x:y"
    )
    await place.services.store.write(lambda tx: tx.groups.add_delegation(leave))


@pytest.mark.requirement("DEC-3", "T26")
async def test_who_is_back_leaves_nobody_stuck(place: World) -> None:
    ada, bob, cyd = [await person(place, name) for name in ("ada", "bob", "cyd")]
    request = await ask(place, {"quorum": 2})
    await place.vote(request, ada)
    await change(place, ada, active=False)
    assert (await place.vote(request, bob)).approvals == 1
    await change(place, ada, active=True)
    after = await place.vote(request, cyd)
    assert (after.status, after.approvals) == (Status.APPROVED, 2)


@pytest.mark.requirement("DEC-3", "PPL-4", "T30")
async def test_who_is_away_and_who_stands_in_do_not_both_count(place: World) -> None:
    ada, bob, cyd = [await person(place, name) for name in ("ada", "bob", "cyd")]
    route: dict[str, object] = {
        "approvers": ["person:ada@example.org", "person:cyd@example.org"], "quorum": "all",
    }  # fmt: skip
    request = await ask(place, route)
    await stand_in(place, ada, bob)
    assert (await place.vote(request, bob)).approvals == 1
    with pytest.raises(NotAnApprover, match="Every seat"):
        await place.vote(request, ada)
    card = await place.services.store.read(lambda tx: place.services.cards.of(tx, request.id))
    assert card is not None and sum(line.endswith(": open") for line in card.seats) == 1
    after = await place.vote(request, cyd)
    assert (after.status, after.approvals) == (Status.APPROVED, 2)


@pytest.mark.requirement("DEC-3", "PPL-4", "T30")
async def test_one_member_who_names_two_is_one_member(place: World) -> None:
    ada, bob, cyd, dan = [await person(place, name) for name in ("ada", "bob", "cyd", "dan")]
    await group(place, "security", ada, cyd)
    request = await ask(place, {"approvers": ["group:security"], "quorum": 2})
    for other in (bob, dan):
        await stand_in(place, ada, other)
    await place.vote(request, bob)
    with pytest.raises(NotAnApprover, match="Every seat"):
        await place.vote(request, dan)
    assert (await place.vote(request, cyd)).status is Status.APPROVED


@pytest.mark.requirement("DEC-2", "T21")
async def test_owners_of_today_and_who_stands_in_for_them_do_not_decide(place: World) -> None:
    ada, bob = await person(place, "ada"), await person(place, "bob")
    request = await place.ask("send_mail")
    agent = await place.services.agents.get(place.anne, request.agent_id)
    await place.services.store.write(
        lambda tx: tx.agents.put(replace(agent, owner_id=ada.actor.id))
    )
    with pytest.raises(NotAnApprover, match="owner"):
        await place.vote(request, ada)
    now = place.services.clock.now()
    leave = Delegation("dlg_1", ada.actor.id, bob.actor.id, now, plus(now, 60), (), "", now, "x:y")
    await place.services.store.write(lambda tx: tx.groups.add_delegation(leave))
    assert (await place.vote(request, bob)).status is Status.APPROVED  # an approver anyway
    route: dict[str, object] = {"approvers": ["person:ada@example.org"]}
    with pytest.raises(NotAnApprover, match="stands in"):
        await place.vote(await ask(place, route), bob)


@pytest.mark.requirement("DEC-6")
async def test_a_ladder_asks_more_people_and_ends_in_a_denial(place: World) -> None:
    ada, bob = await person(place, "ada"), await person(place, "bob")
    await group(place, "oncall", bob)
    route: dict[str, object] = {
        "approvers": ["person:ada@example.org"],
        "expires_in": 9999,
        "escalation": [{"after": 60, "approvers": ["group:oncall"]}, {"after": 60, "deny": True}],
    }
    first, second = await ask(place, route), await place.ask("send_mail")
    clock = place.services.clock
    assert isinstance(clock, FakeClock)
    with pytest.raises(NotAnApprover):
        await place.vote(first, bob)
    clock.move(59)
    assert await place.services.sweeps.tick() == 0
    clock.move(1)
    assert await place.services.sweeps.tick() == 2
    assert await place.services.sweeps.tick() == 0
    assert (await place.get(first)).stage == 1
    assert (await place.vote(first, bob)).status is Status.APPROVED
    clock.move(60)
    await place.services.sweeps.tick()
    after = await place.get(second)
    assert (after.status, after.decided_by) == (Status.DENIED, "system:assentry")
    with pytest.raises(Exception, match="already"):
        await place.vote(second, ada)


@pytest.mark.requirement("DEC-3")
async def test_what_nobody_can_satisfy_is_said_at_submission(place: World) -> None:
    request = await ask(place, {"seats": [["group:nobody"]]})
    assert "nobody may fill group:nobody" in request.verdict
    detail = await place.services.requests.detail(place.anne, request.id)
    assert "only 0 may decide" in detail.shortage


@pytest.mark.requirement("REQ-7")
async def test_an_identical_request_that_waits_is_joined(place: World) -> None:
    first = await place.ask("send_mail", context={"to": "x"}, idempotency_key="a", fingerprint="1")
    again = await place.ask("send_mail", context={"to": "x"}, idempotency_key="b", fingerprint="2")
    assert again.id == first.id
    repeated = await place.ask(
        "send_mail", context={"to": "x"}, idempotency_key="b", fingerprint="2"
    )
    assert repeated.id == first.id
    other = await place.ask("send_mail", context={"to": "y"})
    assert other.id != first.id
    trail = await place.services.requests.trail(place.anne, first.id)
    assert [entry.event for entry in trail] == ["request.submitted", "request.attached"]
    await place.vote(first)
    assert (await place.ask("send_mail", context={"to": "x"})).id != first.id


async def standing_in(place: World, ada: Caller, bob: Caller) -> Delegation:
    now = place.services.clock.now()
    made = Delegation(
        "dlg_1", ada.actor.id, bob.actor.id, now, plus(now, 3600), (), "", now, ada.actor.reference
    )
    await place.services.store.write(lambda tx: tx.groups.add_delegation(made))
    return made


@pytest.mark.requirement("PPL-4", "AUD-1", "CH-6")
@pytest.mark.parametrize("choice", list(Choice))
async def test_in_whose_place_a_vote_was_cast_stays_on_the_record(
    place: World, choice: Choice
) -> None:
    ada, bob = await person(place, "ada"), await person(place, "bob")
    request = await ask(place, {"seats": [["person:per_ada"]], "expires_in": 9999})
    leave = await standing_in(place, ada, bob)
    cards, store = place.services.cards, place.services.store
    asked = await store.read(lambda tx: cards.of(tx, request.id, bob.person))
    assert asked.asked_for == "You stand in for ada, who is away."
    assert (await store.read(lambda tx: cards.of(tx, request.id, ada.person))).asked_for == ""
    await place.vote(request, bob, choice)
    await store.write(lambda tx: tx.groups.revoke_delegation(leave.id))
    (record,) = [
        item
        for item in await place.services.requests.trail(place.anne, request.id)
        if item.event in ("request.approved", "request.denied")
    ]
    assert (record.details["for"], record.details["for_name"]) == ("per_ada", "ada")
    after = await store.read(lambda tx: cards.of(tx, request.id))
    assert after.state.endswith("by bob in place of ada through the API")
    assert 'by bob in place of ada through the API: "looked at it"' in after.timeline[-1]


@pytest.mark.requirement("PPL-4", "DEC-3")
async def test_who_comes_to_count_in_anothers_place_by_a_later_vote_is_said_there(
    place: World,
) -> None:
    ada, bob = await person(place, "ada"), await person(place, "bob")
    request = await ask(place, {"seats": [["role:approver"], ["person:per_ada"]]})
    await standing_in(place, ada, bob)
    await place.vote(request, bob)
    after = await place.vote(request, place.ben)
    assert after.status is Status.APPROVED
    trail = await place.services.requests.trail(place.anne, request.id)
    first, second = [record.details for record in trail if "seat" in record.details]
    assert (first["seat"], second["seat"]) == (["role:approver"], ["role:approver"])
    assert "for" not in first and "for" not in second
    assert second["others"] == [
        {"by": "per_bob", "by_name": "bob", "for": "per_ada", "for_name": "ada"}
    ]
    cards, store = place.services.cards, place.services.store
    card = await store.read(lambda tx: cards.of(tx, request.id))
    assert "; bob counts in place of ada" in card.timeline[-1]
    assert "bob in place of ada through the API" in card.state
