"""What people press in Discord, over the gateway and by posts: one conversation behind both."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from app.core.errors import AlreadyVoted, AssuranceTooLow, NotShownInFull
from app.core.request import Choice
from integrations.discord import conversation
from tests.support.discord_desk import LINK, PAGE, card
from tests.support.discord_markdown import plain
from tests.support.discord_scene import Scene, connected, scene
from tests.support.discord_server import Discord

pytestmark = pytest.mark.requirement("CH-2", "T17")


@pytest.fixture(params=["gateway", "http"])
async def stage(vendor: Discord, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    async with scene(vendor, request.param) as one:
        yield one


@pytest.mark.parametrize(("label", "choice", "state"), [
    ("Approve send", Choice.APPROVE, "Approved by Anna"), ("Deny", Choice.DENY, "Denied by Anna"),
])  # fmt: skip
async def test_a_press_is_a_ballot(stage: Scene, label: str, choice: Choice, state: str) -> None:
    anna = stage.vendor.world.anna
    message = await stage.post()
    done = await stage.press(label, anna)
    assert state in await stage.settled(message)
    assert done.response == 6 and done.followups == []
    assert stage.desk.said == [(str(anna.id), choice, "")]
    assert message.allowed_mentions == [{"parse": []}] * 2 and message.pinged == []


async def test_a_conversation_with_the_bot(stage: Scene) -> None:
    world = stage.vendor.world
    message = await stage.post(user=world.anna.id)
    assert message.channel.recipient is world.anna
    await stage.press("Approve send", world.anna)
    assert "Approved by Anna" in await stage.settled(message)


async def test_a_reason_is_asked_for(stage: Scene) -> None:
    world = stage.vendor.world
    stage.desk.shown = card(reason_required=True)
    message = await stage.post()
    opened = await stage.press("Approve send", world.anna)
    assert opened.modal is not None and opened.modal.title == "Approve with a reason"
    assert stage.desk.said == []
    with pytest.raises(ValueError, match="reason needs 1"):
        await stage.vendor.submit(opened.modal, {})
    await stage.vendor.submit(opened.modal, {"reason": "checked\r\nwith Olga"})
    assert "Approved" in await stage.settled(message)
    assert stage.desk.said == [(str(world.anna.id), Choice.APPROVE, "checked\nwith Olga")]


async def test_a_denial_may_have_a_reason(stage: Scene) -> None:
    world = stage.vendor.world
    message = await stage.post()
    opened = await stage.press("Deny with reason", world.anna)
    assert opened.modal is not None
    await stage.vendor.submit(opened.modal, {"reason": "no"})
    assert "Denied" in await stage.settled(message)
    assert stage.desk.said == [(str(world.anna.id), Choice.DENY, "no")]


async def test_no_form_is_opened_in_vain(stage: Scene) -> None:
    message = await stage.post()
    answer = await stage.press("Deny with reason", stage.vendor.world.ben)
    assert answer.modal is None and answer.ephemeral and LINK in answer.text
    assert message.buttons and stage.desk.said == []


async def test_a_form_does_not_wait_for_a_slow_desk(
    stage: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "PATIENCE", 0.05)
    await stage.post()
    stage.desk.gate.clear()
    opened = await stage.press("Deny with reason", stage.vendor.world.anna)
    assert opened.modal is not None and not opened.late


async def test_somebody_unknown_is_told_where_to_link(stage: Scene) -> None:
    message = await stage.post()
    answer = await stage.press("Approve send", stage.vendor.world.ben)
    text = await stage.whispered(answer)
    assert f"<{LINK}>" in text and "not linked" in text
    assert stage.desk.said == [] and message.buttons
    assert answer.followups[0].flags & 4  # nothing is unfurled


@pytest.mark.parametrize("error", [NotShownInFull(), AssuranceTooLow("by the dashboard; kept.")])
async def test_a_refusal_is_told_to_one_person(stage: Scene, error: Exception) -> None:
    message = await stage.post()
    stage.desk.failure = error
    answer = await stage.press("Approve send", stage.vendor.world.anna)
    assert plain(await stage.whispered(answer)) == str(error)
    assert message.history == []


async def test_a_bug_of_ours_is_not_hidden(stage: Scene) -> None:
    await stage.post()
    stage.desk.failure = RuntimeError("a secret of ours")
    answer = await stage.press("Approve send", stage.vendor.world.anna)
    text = await stage.whispered(answer)
    assert "Something went wrong" in text and "secret" not in text


async def test_what_is_decided_heals_the_message(stage: Scene) -> None:
    message = await stage.post()
    stage.desk.shown = replace(card(), pending=False, state="Approved by Olga (slack)")
    answer = await stage.press("Approve send", stage.vendor.world.anna)
    assert "decided before" in await stage.whispered(answer)
    assert "Approved by Olga" in await stage.settled(message)
    assert stage.desk.said == []


async def test_healing_is_not_needed_for_a_ballot(stage: Scene) -> None:
    await stage.post()
    stage.desk.failure = AlreadyVoted()
    answer = await stage.press("Approve send", stage.vendor.world.anna)
    assert "voted on this request before" in await stage.whispered(answer)


async def test_what_fails_once_fails_alone(stage: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    message = await stage.post()
    monkeypatch.setattr(stage.desk, "turned_away", None)
    button = message.buttons["Approve send"]
    for user in (stage.vendor.world.robot, stage.vendor.world.anna):
        await stage.vendor.press(message, button, user=user)
    await stage.settled(message)


async def test_a_double_click_counts_once(stage: Scene) -> None:
    message = await stage.post()
    anna = stage.vendor.world.anna
    one, two = await asyncio.gather(*(stage.press("Approve send", anna) for _ in range(2)))
    await stage.settled(message)
    assert one.response == two.response == 6
    await stage.vendor.wait_for(lambda: one.followups or two.followups)
    assert len(stage.desk.said) == 1


async def test_an_old_view_of_the_message_decides_nothing_twice(stage: Scene) -> None:
    message = await stage.post()
    anna, old = stage.vendor.world.anna, message.buttons["Deny"]
    await stage.press("Approve send", anna)
    await stage.settled(message)
    answer = await stage.vendor.press(message, old, user=anna, stale=True)
    assert "decided before" in await stage.whispered(answer)
    assert [choice for _, choice, _ in stage.desk.said] == [Choice.APPROVE]


async def test_a_slow_desk_is_waited_for_after_the_acknowledgement(stage: Scene) -> None:
    message = await stage.post()
    stage.desk.gate.clear()
    done = await stage.press("Approve send", stage.vendor.world.anna)
    assert done.response == 6 and not done.late and message.buttons
    stage.desk.gate.set()
    assert "Approved" in await stage.settled(message)


@pytest.mark.parametrize("fault", [
    {"status": 500}, {"lost": "before"}, {"lost": "after"}, {"status": 429, "retry_after": 60.0},
    {"status": 404}, {"text": "no json"},
])  # fmt: skip
async def test_without_an_acknowledgement_nothing_is_counted(
    stage: Scene, fault: dict[str, object]
) -> None:
    message = await stage.post()
    stage.vendor.deadline = 0.2
    stage.vendor.fault("POST /interactions/{interaction_id}/{token}/callback", **fault)
    await stage.press("Approve send", stage.vendor.world.anna)
    assert stage.desk.said == [] and message.buttons
    await stage.press("Approve send", stage.vendor.world.anna)
    await stage.settled(message)
    assert len(stage.desk.said) == 1


async def test_no_log_holds_what_one_could_answer_with(
    stage: Scene, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    await stage.post()
    vendor = stage.vendor
    fault = vendor.fault("POST /webhooks/{application_id}/{token}", status=429, retry_after=60.0)
    answer = await stage.press("Approve send", vendor.world.ben)
    await vendor.wait_for(lambda: fault.hits)
    said = capsys.readouterr()
    assert answer.token not in caplog.text + said.out + said.err
    assert vendor.world.token not in caplog.text + said.out + said.err


async def test_a_message_that_cannot_be_updated_costs_no_ballot(stage: Scene) -> None:
    message = await stage.post()
    fault = stage.vendor.fault("PATCH /webhooks/{application_id}/{token}/messages/{message_id}",
                               status=500)  # fmt: skip
    await stage.press("Approve send", stage.vendor.world.anna)
    await stage.vendor.wait_for(lambda: fault.hits)
    assert len(stage.desk.said) == 1 and message.buttons
    posted = {"channel": str(message.channel.id), "message": str(message.id)}
    await stage.channel.refresh(stage.desk.shown, "", posted)
    assert "Approved by Anna" in message.text


async def test_what_is_not_ours_is_refused(stage: Scene) -> None:
    world = stage.vendor.world
    button = {"type": 2, "style": 1, "label": "Old", "custom_id": "gate:approve:1"}
    world.post(world.approvals, {"components": [{"type": 1, "components": [button]}]}, [])
    answer = await stage.press("Old", world.anna)
    assert answer.ephemeral and "not known" in answer.text
    assert stage.desk.asked == 0


@pytest.mark.requirement("T17")
async def test_a_bot_decides_nothing(stage: Scene) -> None:
    robot = stage.vendor.world.robot
    stage.desk.linked.add(str(robot.id))
    await stage.post()
    answer = await stage.press("Approve send", robot)
    assert answer.ephemeral and "Bots do not decide" in answer.text
    await asyncio.wait_for(stage.desk.noted.wait(), 5)
    assert stage.desk.asked == 0 and stage.desk.away == [(str(robot.id), "account_refused")]


@pytest.mark.requirement("T17")
async def test_names_decide_nothing(stage: Scene) -> None:
    world = stage.vendor.world
    world.ben.username, world.ben.global_name = world.anna.username, world.anna.global_name
    await stage.post()
    answer = await stage.press("Approve send", world.ben)
    assert LINK in await stage.whispered(answer)
    assert stage.desk.said == []


@pytest.mark.requirement("T17")
@pytest.mark.parametrize("mode", ["gateway", "http"])
async def test_servers_that_are_not_allowed(vendor: Discord, mode: str) -> None:
    world = vendor.world
    async with scene(vendor, mode, guilds=f"1, {world.acme.id}") as stage:
        stage.desk.linked |= {str(world.mallory.id), str(world.ben.id)}
        await stage.post()
        world.post(world.lobby, {"components": world.last.components}, [])
        answer = await stage.press("Approve send", world.mallory)
        assert answer.ephemeral and "not one whose members decide" in answer.text
        message = await stage.post(user=world.mallory.id)
        answer = await stage.press("Approve send", world.mallory)
        assert "You are in no Discord server" in await stage.whispered(answer)
        assert stage.desk.said == [] and message.buttons
        assert stage.desk.away == [(str(world.mallory.id), "account_refused")] * 2
        message = await stage.post(user=world.ben.id)
        button = message.buttons["Approve send"]
        fault = vendor.fault("GET /guilds/{guild_id}/members/{user_id}", status=500)
        answer = await vendor.press(message, button, user=world.ben)
        assert "cannot be asked now" in await stage.whispered(answer)
        assert fault.hits == 1 and stage.desk.said == []
        await vendor.press(message, button, user=world.ben)
        assert "Approved" in await stage.settled(message)


# --- commands ---


async def test_the_inbox(stage: Scene) -> None:
    world = stage.vendor.world
    answer = await stage.vendor.command("assentry inbox", user=world.anna)
    text = await stage.whispered(answer)
    assert "1 request waits for you" in text and answer.ephemeral and answer.response == 5
    stage.desk.shown = replace(stage.desk.shown, pending=False)
    answer = await stage.vendor.command("assentry inbox", user=world.anna)
    assert "Nothing waits" in await stage.whispered(answer)
    answer = await stage.vendor.command("assentry inbox", user=world.ben)
    assert LINK in await stage.whispered(answer)


async def test_showing_a_request(stage: Scene) -> None:
    world = stage.vendor.world
    answer = await stage.vendor.command("assentry show", {"id": " req_1 "}, user=world.anna)
    text = await stage.whispered(answer)
    assert '"text": "hello"' in text and answer.message is not None
    assert answer.message.buttons == {} and PAGE in str(answer.message.components)
    answer = await stage.vendor.command("assentry show", {"id": "req_2"}, user=world.anna)
    assert "no such request" in await stage.whispered(answer)
    stage.desk.failure = RuntimeError("x")
    answer = await stage.vendor.command("assentry show", {"id": "req_1"}, user=world.anna)
    assert "Something went wrong" in await stage.whispered(answer)


async def test_a_command_that_is_not_ours(stage: Scene) -> None:
    world = stage.vendor.world
    world.commands[None].append({"id": "9", "name": "other", "description": "x", "type": 1})
    answer = await stage.vendor.command("other", user=world.anna)
    assert "not known" in await stage.whispered(answer)


async def test_commands_of_others_stay(stage: Scene) -> None:
    other = {"id": "9", "name": "other", "description": "x", "type": 1}
    stage.vendor.world.commands[None].append(other)
    await stage.way._register()
    names = [one["name"] for one in stage.vendor.world.commands[None]]
    assert sorted(names) == ["assentry", "other"]


# --- several processes, restarts ---


async def test_two_processes_hear_it_and_one_acts(vendor: Discord) -> None:
    async with scene(vendor, "gateway") as one, scene(vendor, "gateway") as two:
        await vendor.ready(2)
        message = await one.post()
        two.desk.shown = one.desk.shown
        answer = await one.press("Approve send", vendor.world.anna)
        await one.settled(message)
        assert len(one.desk.said) + len(two.desk.said) == 1
        assert answer.followups == []


async def test_old_buttons_work_after_a_restart(vendor: Discord) -> None:
    async with scene(vendor, "gateway") as before:
        message = await before.post()
    await vendor.wait_for(lambda: not vendor.gateway.connected)
    async with scene(vendor, "gateway") as after:
        await after.press("Approve send", vendor.world.anna)
        assert "Approved" in await after.settled(message)
        assert after.desk.said and not before.desk.said


async def test_it_can_be_connected_again(vendor: Discord) -> None:
    async with scene(vendor, "gateway") as stage:
        message = await stage.post()
        async with connected(vendor, stage.way):
            vendor.gateway.drop()
            await vendor.wait_for(lambda: sum(at.resumes for at in vendor.gateway.connected) == 2)
        await stage.press("Approve send", vendor.world.anna)
        await stage.settled(message)
        assert len(stage.desk.said) == 1
