"""Routes that reach nobody are said to their author and on their requests, and people are told."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.core.delivery import DeliveryState
from app.core.ports import DeliveryFailed
from app.core.request import Request
from app.services.notices import UNDELIVERED
from tests.support.channel import FakeChannel
from tests.support.telling import ANNE, BEN, Mail, carried, deliveries, opened
from tests.support.world import FakeClock, World

pytestmark = pytest.mark.requirement("CH-6", "DEC-3")


@pytest.fixture
async def chat() -> FakeChannel:
    return FakeChannel()


@pytest.fixture
async def place(
    database_url: str, tmp_path: Path, chat: FakeChannel
) -> AsyncGenerator[World, None]:
    async with opened(database_url, tmp_path, chat, Mail(), clock=FakeClock()) as made:
        yield made


async def ask(place: World, route: dict[str, object]) -> Request:
    await place.policy("asks", "review", {"action": "send_mail"}, route=route)
    request = await place.ask("send_mail")
    await place.services.notices.notify(request.id)
    return request


async def marks(place: World, request: Request) -> list[dict[str, object]]:
    trail = await place.services.requests.trail(place.anne, request.id)
    for_agents = await place.services.requests.trail(place.robot, request.id)
    assert UNDELIVERED not in [item.event for item in for_agents]
    return [dict(item.details) for item in trail if item.event == UNDELIVERED]


async def test_what_a_route_does_not_reach_is_said_to_its_author(place: World) -> None:
    route: dict[str, object] = {
        "seats": [["group:nosuch", "person:ben@example.org"], ["person:gone@example.org"]],
        "notify": [{"channel": "teams", "to": ["x"]}, {"channel": "chat", "to": ["#approvals"]}],
        "escalation": [{"after": 60, "notify": [{"channel": "pager"}]}],
    }
    await place.policy("asks", "review", {"action": "send_mail"}, route=route)
    (record,) = await place.services.policies.list(place.anne)
    assert await place.services.reach.warnings(record) == [
        "Rule 'rule': the channel teams is not set up here, so nobody is told there",
        "Rule 'rule': #approvals is a name; chat is told where by an id",
        "Rule 'rule': the channel pager is not set up here, so nobody is told there",
        "Rule 'rule': there is no group nosuch",
        "Rule 'rule': gone@example.org is nobody here who may decide",
    ]
    request = await place.ask("send_mail")
    told = await place.services.reach.of_request(request)
    assert "there is no group nosuch" in told
    assert "the channel teams is not set up here, so nobody is told there" in told
    assert not any(sentence in request.verdict for sentence in told)  # the agent reads that
    await place.services.decisions.cancel(place.robot, request.id, "")
    assert await place.services.reach.of_request(await place.get(request)) == []


@pytest.mark.requirement("POL-1")
async def test_a_name_in_a_scope_that_is_nobodys_is_said_to_its_author(place: World) -> None:
    target = await place.target("https://example.org", name="shop")
    names = {"agents": [place.agent.name, "robbot", "r*"], "targets": [target.name, "exmaple"]}
    await place.services.policies.create(
        place.anne,
        {"name": "typo", "scope": names, "rules": [{"name": "r", "effect": "deny"}]},
    )
    (record,) = await place.services.policies.list(place.anne)
    assert await place.services.reach.warnings(record) == [
        "The scope: no agent is called robbot",
        "The scope: no target is called exmaple",
    ]


@pytest.mark.requirement("DEC-3")
async def test_a_quorum_that_nobody_can_reach_is_said_to_its_author(place: World) -> None:
    """Anne, Ben and the agent's owner, an operator, may decide: three people."""
    await place.policy("four", "review", {"action": "x"}, route={"quorum": 4})
    ladder = [{"after": 60, "approvers": ["role:approver"]}]
    bens = {"seats": [["person:ben@example.org"], ["person:ben@example.org", "role:admin"]]}
    await place.policy("grows", "review", {"action": "x"}, route={**bens, "escalation": ladder})
    await place.policy("three", "review", {"action": "x"}, route={"quorum": 3})
    four, grows, three = sorted(
        await place.services.policies.list(place.anne), key=lambda one: one.name
    )
    warnings = place.services.reach.warnings
    assert await warnings(four) == [
        "Rule 'rule': 4 different people are needed, and only 3 may decide"
    ]
    assert await warnings(grows) == await warnings(three) == []
    await place.services.people.update(place.anne, place.ben.actor.id, active=False)
    assert await warnings(three) == [
        "Rule 'rule': 3 different people are needed, and only 2 may decide"
    ]


async def test_a_route_that_reaches_everybody_is_not_warned_of(place: World) -> None:
    accounts, ben = place.services.accounts, place.ben.actor.id
    await accounts.put_group(place.anne, None, "ops", "", [ben])
    await accounts.put_group(place.anne, None, "empty", "", [])
    route: dict[str, object] = {"seats": [["group:ops"]], "notify": [{"channel": "chat"}]}
    await place.policy("good", "review", {"action": "send_mail"}, route=route)
    await place.policy("bad", "review", {"action": "x"}, route={"approvers": ["group:empty"]})
    bad, good = sorted(await place.services.policies.list(place.anne), key=lambda one: one.name)
    assert await place.services.reach.warnings(good) == []
    assert await place.services.reach.warnings(bad) == [
        "Rule 'rule': nobody in the group empty may decide"
    ]
    assert await place.services.reach.of_request(await place.ask("send_mail")) == []


async def test_where_a_channel_is_not_set_up_people_are_told_by_their_other_ways(
    place: World,
) -> None:
    request = await ask(place, {"notify": [{"channel": "teams", "to": ["x"]}]})
    await place.services.notices.notify(request.id)
    found = {
        (item.channel, item.recipient, item.purpose) for item in await deliveries(place, request)
    }
    assert found == {
        ("chat", ANNE.id, "fallback"), ("chat", BEN.id, "fallback"),
        ("email", "anne@example.org", "fallback"), ("email", "ben@example.org", "fallback"),
    }  # fmt: skip
    assert await marks(place, request) == [
        {"channel": "teams", "to": "x", "note": "this channel is not set up here", "stage": 0}
    ]


async def test_what_is_refused_for_good_falls_back_and_is_marked(
    place: World, chat: FakeChannel
) -> None:
    request = await ask(place, {"notify": [{"channel": "chat", "to": ["C404"]}]})
    (first,) = await place.services.couriers.claim("chat", 9)
    chat.failure = DeliveryFailed("no such place", permanent=True)
    await place.services.couriers.carry(first)
    chat.failure = None
    found = {item.recipient: item.state for item in await deliveries(place, request)}
    assert found["C404"] is DeliveryState.DEAD
    assert {ANNE.id, BEN.id, "anne@example.org", "ben@example.org"} < set(found)
    (mark,) = await marks(place, request)
    assert (mark["channel"], mark["to"], mark["note"]) == ("chat", "C404", "no such place")
    await carried(place, "email")
    mail = place.services.couriers.channels["email"]
    assert isinstance(mail, Mail)
    assert {item.recipient for item in mail.messages} == {"anne@example.org", "ben@example.org"}
    assert any("undelivered" in line for line in mail.messages[0].card.timeline)


async def test_whose_own_account_refuses_is_told_by_their_other_ways_alone(
    place: World, chat: FakeChannel
) -> None:
    request = await ask(place, {"notify": [{"channel": "chat", "to": [BEN.id]}]})
    chat.failure = DeliveryFailed("no such account", permanent=True)
    await carried(place)
    found = {item.recipient for item in await deliveries(place, request)}
    assert found == {BEN.id, "ben@example.org"}
    await place.vote(request)
    await place.services.notices.notify(request.id)
    assert len(await deliveries(place, request)) == 2
