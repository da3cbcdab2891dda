"""What people do in Slack comes to the desk, once, and only theirs (T16, T17)."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Never

import pytest
from starlette.requests import Request

from app.core.errors import AlreadyVoted, NotLinked
from app.core.request import Choice, Status
from integrations.slack import listeners
from integrations.slack.doors import LARGEST
from integrations.slack.inbound import SlackInbound
from integrations.slack.settings import SlackSettings
from tests.support.cards import card
from tests.support.slack_desk import Product, product, settings
from tests.support.slack_message import Content, Message
from tests.support.slack_server import Slack
from tests.support.slack_view import View

pytestmark = [pytest.mark.requirement("CH-1", "T16", "T17"), pytest.mark.timeout(60)]


@pytest.fixture(params=["http", "socket"])
async def ours(request: pytest.FixtureRequest, vendor: Slack) -> AsyncIterator[Product]:
    """Channel and way in, over either door."""
    async with product(vendor, card(), request.param) as made:
        yield made


async def posted(vendor: Slack, ours: Product) -> Message:
    """Return a card that Anna sees."""
    world = vendor.world
    await ours.channel.deliver(ours.desk.shown, f"{world.acme.id}:{world.anna.id}")
    return await vendor.wait_for(lambda: vendor.last)


async def whispered(vendor: Slack, text: str) -> Message:
    """Return what only the one who pressed sees."""

    def found() -> Message | None:
        message = vendor.last
        return message if message and message.only_for and text in message.shown else None

    return await vendor.wait_for(found)


async def test_a_press_is_a_ballot(vendor: Slack, ours: Product) -> None:
    message = await posted(vendor, ours)
    assert (await vendor.press(message, "approve")).good
    assert (await vendor.press(message, "deny")).good
    me = f"{vendor.world.acme.id}:{vendor.world.anna.id}"
    assert ours.desk.ballots == [(me, "t", Choice.APPROVE, ""), (me, "t", Choice.DENY, "")]
    assert (await whispered(vendor, "is counted")).only_for is vendor.world.anna


async def test_the_form_takes_a_reason(vendor: Slack, ours: Product) -> None:
    message = await posted(vendor, ours)
    await vendor.press(message, "reason")
    form = await vendor.wait_for(lambda: vendor.view)
    assert "send" in words(form) and "d" * 12 in words(form)
    answer = await vendor.submit(form, {"comment": "not on Fridays"})
    assert answer.good and answer.json["response_action"] == "update"
    assert ours.desk.ballots[0][2:] == (Choice.DENY, "not on Fridays")


async def test_where_a_reason_is_required_both_ask_for_it(vendor: Slack, ours: Product) -> None:
    ours.desk.shown = replace(card(), reason_required=True)
    message = await posted(vendor, ours)
    await vendor.press(message, "approve")
    form = await vendor.wait_for(lambda: vendor.view)
    with pytest.raises(ValueError, match=r"required|comment|missing"):
        await vendor.submit(form)
    assert not ours.desk.ballots
    await vendor.submit(form, {"comment": "seen"})
    assert ours.desk.ballots[0][2:] == (Choice.APPROVE, "seen")


async def test_a_refusal_leaves_the_form_open(vendor: Slack, ours: Product) -> None:
    message = await posted(vendor, ours)
    await vendor.press(message, "reason")
    form = await vendor.wait_for(lambda: vendor.view)
    ours.desk.refusal = AlreadyVoted()
    answer = await vendor.submit(form, {"comment": "again"})
    assert answer.json["response_action"] == "errors" and form.is_open
    assert "first vote stands" in answer.json["errors"]["comment"]
    forged = await vendor.submit(
        form, {"comment": "x"}, changes={"view": {"private_metadata": "{"}}
    )
    assert forged.json["response_action"] == "errors" and not ours.desk.ballots


async def test_who_is_not_linked_gets_a_link_alone(vendor: Slack, ours: Product) -> None:
    message = await posted(vendor, ours)
    ours.desk.refusal = NotLinked(extra={"url": "https://gate.example/account/link/x"})
    await vendor.press(message, "approve")
    note = await whispered(vendor, "not linked")
    assert note.buttons[0]["url"] == "https://gate.example/account/link/x"


async def test_strangers_guests_and_bots_are_turned_away(vendor: Slack, ours: Product) -> None:
    message, world = await posted(vendor, ours), vendor.world
    for user in (world.gus, world.dora, world.robot, world.mallory):
        await vendor.press(message, "approve", user=user, anyway=True)
    assert not ours.desk.ballots
    assert {code for _, code in ours.desk.away} == {"account_refused"}
    assert len(ours.desk.away) == 4


async def test_a_display_name_decides_nothing(vendor: Slack, ours: Product) -> None:
    message, world = await posted(vendor, ours), vendor.world
    world.ben.name = world.ben.handle = world.anna.name
    await vendor.press(message, "approve", user=world.ben, anyway=True)
    assert ours.desk.ballots[0][0] == f"{world.acme.id}:{world.ben.id}"


async def test_when_slack_does_not_say_who_it_is_nothing_counts(
    vendor: Slack, ours: Product
) -> None:
    message = await posted(vendor, ours)
    vendor.fault("users.info", status=500)
    await vendor.press(message, "approve")
    assert not ours.desk.ballots
    await whispered(vendor, "does not say who you are")


async def test_a_slow_desk_is_waited_for(
    vendor: Slack, ours: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "_PROMPT", 0.05)
    message = await posted(vendor, ours)
    ours.desk.held.clear()
    assert (await vendor.press(message, "approve")).good
    assert not ours.desk.ballots
    ours.desk.held.set()
    await whispered(vendor, "is counted")
    assert len(ours.desk.ballots) == 1


async def test_what_is_over_opens_no_form(vendor: Slack, ours: Product) -> None:
    message = await posted(vendor, ours)
    ours.desk.shown = replace(card(), pending=False, status=Status.DENIED, state="Denied by Ada")
    await vendor.press(message, "reason")
    await whispered(vendor, "Denied by Ada")
    assert vendor.view is None


@pytest.mark.parametrize("text", ["", "list"])
async def test_the_command_lists(vendor: Slack, ours: Product, text: str) -> None:
    answer = await vendor.command("/assentry", text)
    assert answer.good and "Review in full" in answer.body and "robot" in answer.body
    assert ours.desk.shown.headline in answer.body and answer.json["response_type"] == "ephemeral"


async def test_the_command_shows_without_deciding(vendor: Slack, ours: Product) -> None:
    answer = await vendor.command("/assentry", "show req_9")
    assert "req_9" in answer.body and '"approve"' not in answer.body
    assert "list: what waits" in (await vendor.command("/assentry", "frobnicate")).body
    ours.desk.refusal = NotLinked(extra={"url": "https://gate.example/account/link/x"})
    assert "account/link/x" in (await vendor.command("/assentry")).body


async def test_the_home_tab_shows_what_waits(vendor: Slack, ours: Product) -> None:
    await vendor.open_home()
    home = await vendor.wait_for(lambda: vendor.world.acme.homes.get(vendor.world.anna.id))
    assert "Waiting for you" in words(home) and ours.desk.shown.headline in words(home)
    ours.desk.refusal = NotLinked(extra={"url": "https://gate.example/account/link/x"})
    await vendor.open_home()
    await vendor.wait_for(lambda: "not linked" in home_of(vendor) or None)


async def test_who_is_turned_away_at_the_home_tab_is_recorded(vendor: Slack, ours: Product) -> None:
    gus = vendor.world.gus
    await vendor.open_home(user=gus, anyway=True)
    await vendor.wait_for(lambda: vendor.world.acme.homes.get(gus.id))
    assert ours.desk.away == [(f"{vendor.world.acme.id}:{gus.id}", "account_refused")]


def home_of(vendor: Slack) -> str:
    return words(vendor.world.acme.homes[vendor.world.anna.id])


def words(view: View) -> str:
    """Return what a modal or a home tab says."""
    return Content("", view.content["blocks"]).shown


async def test_another_application_is_refused(vendor: Slack, ours: Product) -> None:
    message = await posted(vendor, ours)
    answer = await vendor.press(message, "approve", changes={"api_app_id": "A0OTHER"})
    assert not answer.good and not ours.desk.ballots


ODD: list[dict[str, Any]] = [
    {"signature": "v0=" + "0" * 64}, {"signature": "v0=é"}, {"signature": ""}, {"secret": "other"},
    {"timestamp": "abc"}, {"timestamp": "-1"}, {"timestamp": "9" * 30}, {"timestamp": "1e9"},
    {"signed_at": 1}, {"signed_at": 4_000_000_000}, {"without": ("X-Slack-Signature",)},
    {"without": ("X-Slack-Request-Timestamp",)}, {"body": b"payload=%7B%7D"},
    {"body": b"\xff\xfe"},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: str(next(iter(odd.items()))))
async def test_a_forged_call_is_a_401(vendor: Slack, odd: Any) -> None:
    async with product(vendor, card()) as ours:
        message = await posted(vendor, ours)
        answer = await vendor.press(message, "approve", **odd)
        assert answer.status == 401 and not ours.desk.ballots
        assert ours.desk.unsigned == [("slack", "127.0.0.1")]


@pytest.mark.parametrize("when", ["", "1", "x"])
async def test_a_body_is_not_read_before_its_headers(vendor: Slack, when: str) -> None:
    async def receive() -> Never:
        pytest.fail("the body was read")

    async with product(vendor, card()) as ours:
        clock = vendor.world.clock
        inbound = SlackInbound(settings(vendor), ours.channel.client, ours.desk, clock)
        headers = [(b"x-slack-request-timestamp", when.encode()),
                   (b"x-slack-signature", b"v0=" + b"0" * 64)]  # fmt: skip
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "client": None}
        answer = await inbound.routes()[0].endpoint(Request(scope, receive))
        assert answer.status_code == 401 and ours.desk.unsigned == [("slack", "")]


async def test_a_replay_is_a_401(vendor: Slack) -> None:
    async with product(vendor, card()) as ours:
        answer = await vendor.press(await posted(vendor, ours), "approve", repeat=5)
        assert answer.status == 200 and {again.status for again in answer.repeats} == {401}
        assert (await vendor.replay(answer)).status == 401
        assert len(ours.desk.ballots) == 1


async def test_a_signed_body_that_is_nonsense_is_no_bug_of_ours(vendor: Slack) -> None:
    async with product(vendor, card()) as ours:
        url = vendor.world.app.interactivity or ""
        for body in (b"\xff\xfe", b"payload=", b"payload=%7B", b"{", b"[]", b"payload=[]", b"null"):
            signed = vendor.endpoint.sign(url, body, "application/x-www-form-urlencoded", {})
            assert (await vendor.endpoint.post(signed)).status in (400, 401), body
        signed = vendor.endpoint.sign(url, b"x" * (LARGEST + 1), "application/json", {})
        assert (await vendor.endpoint.post(signed)).status in (0, 401)
        assert not ours.desk.ballots


async def test_the_url_is_verified(vendor: Slack) -> None:
    async with product(vendor, card()):
        answer = await vendor.verify(vendor.world.app.interactivity or "")
        assert answer.status == 200 and answer.payload["challenge"] in answer.body


async def test_socket_mode_comes_back(vendor: Slack) -> None:
    async with product(vendor, card(), "socket") as ours:
        message = await posted(vendor, ours)
        await vendor.sockets.disconnect()
        await vendor.wait_for(lambda: vendor.sockets.live or None)
        assert (await vendor.press(message, "approve")).good
        assert len(ours.desk.ballots) == 1


async def test_socket_mode_takes_only_what_has_its_shape(vendor: Slack) -> None:
    """What is odd is acknowledged, so that it does not come again, and does nothing (T16)."""
    async with product(vendor, card(), "socket") as ours:
        await posted(vendor, ours)
        good = {"type": "event_callback", "api_app_id": vendor.world.app.id,
                "event": {"type": "app_home_opened", "tab": "home", "user": "U1"}}  # fmt: skip
        for odd in ({"event": []}, {"event": None}, {"user": 7}):
            answer = await vendor.sockets.deliver("events_api", {**good, **odd}, None)
            assert answer.status == 200
        assert not ours.desk.ballots
        assert not vendor.world.acme.homes


def test_the_manifest_fits() -> None:
    text = (Path(__file__).parents[3] / "docs/howto/slack_manifest.json").read_text()
    manifest = json.loads(text)
    (command,) = manifest["features"]["slash_commands"]
    assert command["command"] == SlackSettings().command
    assert manifest["settings"]["event_subscriptions"]["bot_events"] == ["app_home_opened"]
    assert manifest["features"]["app_home"]["home_tab_enabled"]


async def test_what_the_manifest_asks_for_is_enough(vendor: Slack) -> None:
    text = (Path(__file__).parents[3] / "docs/howto/slack_manifest.json").read_text()
    vendor.world.acme.scopes = set(json.loads(text)["oauth_config"]["scopes"]["bot"])
    async with product(vendor, card(), "socket") as ours:
        message = await posted(vendor, ours)
        await vendor.press(message, "reason")
        form = await vendor.wait_for(lambda: vendor.view)
        await vendor.submit(form, {"comment": "no"})
        await vendor.press(message, "approve")
        await whispered(vendor, "is counted")
        await vendor.open_home()
        await vendor.wait_for(lambda: vendor.world.acme.homes.get(vendor.world.anna.id))
        assert vendor.world.acme.name in await ours.channel.check()
        assert not [call for call in vendor.calls if (call.answer or {}).get("ok") is False]


async def test_doors_are_one_or_the_other(vendor: Slack) -> None:
    async with product(vendor, card(), "socket") as ours:
        chosen = settings(vendor, "socket")
        inbound = SlackInbound(chosen, ours.channel.client, ours.desk, vendor.world.clock)
        assert not inbound.routes()
    async with product(vendor, card()) as ours:
        inbound = SlackInbound(settings(vendor), ours.channel.client, ours.desk, vendor.world.clock)
        assert len(inbound.routes()) == 1
        await asyncio.wait_for(inbound.run(), 1)
