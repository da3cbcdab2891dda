"""The played Slack against the real slack_bolt, over HTTP and over Socket Mode alike."""

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from tests.support.slack_answer import Answer
from tests.support.slack_message import Content, Message
from tests.support.slack_sample import Sample, button, buttons, modal, plain, section
from tests.support.slack_server import Slack
from tests.support.slack_view import View


@pytest.fixture
def message(vendor: Slack) -> Message:
    """A message that asks."""
    row = buttons("approve", "deny", "thank")
    content = Content("Please", [section("Deploy"), row])
    return vendor.world.add_message(vendor.world.acme, vendor.world.approvals, content)


async def opened(vendor: Slack, message: Message) -> View:
    """Return the modal that a press opens."""
    assert (await vendor.press(message, "deny", user=vendor.world.ben)).good
    return await vendor.wait_for(lambda: vendor.view)


async def test_a_button(vendor: Slack, sample: Sample, message: Message) -> None:
    answer = await vendor.press(message, "approve", user=vendor.world.ben)
    assert answer.good and answer is vendor.answers[-1]
    await vendor.wait_for(lambda: message.edited)
    assert (message.shown, message.buttons, message.versions[0].text) == ("*done*", [], "Please")
    again = await vendor.press(message, "approve", anyway=True)
    assert again.good and again.payload["actions"][0]["value"] == "7"
    told = sample.seen[0]
    assert (told["user"]["id"], told["team"]["id"]) == (vendor.world.ben.id, vendor.world.acme.id)
    assert told["actions"][0]["value"] == "7" and told["actions"][0]["block_id"] == "decide"
    assert told["message"]["ts"] == told["container"]["message_ts"] == message.ts


async def test_what_nobody_can_press(vendor: Slack, sample: Sample, message: Message) -> None:
    world = vendor.world
    for user in (world.mallory, world.dora):
        with pytest.raises(LookupError, match="does not see it"):
            await vendor.press(message, "approve", user=user)
    with pytest.raises(LookupError, match="nothing called 'other'"):
        await vendor.press(message, "other")
    assert sample.seen == [] and vendor.answers == []
    forged = await vendor.press(message, "open", user=world.mallory, value="9", anyway=True)
    assert forged.good and sample.seen[0]["actions"][0]["value"] == "9"
    changed = await vendor.press(message, "approve", changes={"user": {"id": "U0"}})
    assert changed.good and sample.seen[1]["user"] | {"id": "U0"} == sample.seen[1]["user"]


async def test_which_of_several_buttons(vendor: Slack, sample: Sample) -> None:
    rows = [
        {"type": "actions", "block_id": f"row{value}", "elements": [button("open", value)]}
        for value in "123"
    ]
    content = Content("x", rows)
    message = vendor.world.add_message(vendor.world.acme, vendor.world.approvals, content)
    await vendor.press(message, "open")
    await vendor.press(message, "open", value="2")
    await vendor.press(message, "open", block_id="row3")
    told = [one["actions"][0] for one in sample.seen]
    assert [one["block_id"] for one in told] == ["row1", "row2", "row3"]
    assert [one["value"] for one in told] == ["1", "2", "3"]


async def test_buttons_of_attachments(vendor: Slack, sample: Sample) -> None:
    blocks = [{"type": "actions", "elements": [button("open")]}]
    content = Content("x", [], [{"color": "#a00", "blocks": blocks}])
    message = vendor.world.add_message(vendor.world.acme, vendor.world.approvals, content)
    assert (await vendor.press(message, "open")).good
    assert sample.seen[0]["actions"][0]["block_id"] == "b0000"
    assert sample.seen[0]["message"]["attachments"][0]["color"] == "#a00"


async def test_choosing(vendor: Slack, sample: Sample) -> None:
    options = [{"text": plain(word), "value": word} for word in ("all", "none")]
    select = {"type": "static_select", "action_id": "choose", "options": options}
    content = Content("x", [section("Which?", accessory=select)])
    message = vendor.world.add_message(vendor.world.acme, vendor.world.approvals, content)
    await vendor.press(message, "choose", value="none")
    assert sample.seen[0]["actions"][0]["selected_option"]["value"] == "none"
    with pytest.raises(LookupError, match="no such option"):
        await vendor.press(message, "choose", value="other")


async def test_a_modal(vendor: Slack, sample: Sample, message: Message) -> None:
    view = await opened(vendor, message)
    assert (view.title, view.user, view.private_metadata) == ("Why?", vendor.world.ben, "7")
    with pytest.raises(ValueError, match="must be filled in"):
        await vendor.submit(view)
    with pytest.raises(ValueError, match="50 characters"):
        await vendor.submit(view, {"reason": "x" * 51})
    with pytest.raises(LookupError, match="no such input"):
        await vendor.submit(view, {"other": "x"})
    with pytest.raises(LookupError, match="no such modal"):
        await vendor.submit(view, {"reason": "x"}, user=vendor.world.anna)
    assert (await vendor.submit(view, {"reason": "no"})).good
    assert not view.is_open and vendor.view is None
    told = sample.seen[-1]["view"]
    assert told["state"]["values"]["why"]["reason"]["value"] == "no"
    assert (told["private_metadata"], told["app_installed_team_id"]) == ("7", view.team.id)
    with pytest.raises(LookupError):
        await vendor.submit(view, {"reason": "again"})


async def test_a_modal_that_complains(vendor: Slack, sample: Sample, message: Message) -> None:
    view = await opened(vendor, message)
    sample.answer = {"response_action": "errors", "errors": {"why": "too short"}}
    assert (await vendor.submit(view, {"why": "no"})).good
    assert view.is_open and view.errors == {"why": "too short"}
    sample.answer["errors"] = {"other": "x"}
    answer = await vendor.submit(view, {"why": "no"})
    assert (answer.status, answer.error, vendor.answers[-1]) == (200, "invalid_errors", answer)
    assert view.is_open


async def test_a_modal_that_changes(vendor: Slack, sample: Sample, message: Message) -> None:
    view = await opened(vendor, message)
    sample.answer = {"response_action": "update", "view": modal(title="Sure?")}
    await vendor.submit(view, {"reason": "no"})
    assert (view.is_open, view.title, len(view.versions)) == (True, "Sure?", 2)
    sample.answer = {"response_action": "push", "view": modal(title="Really?")}
    await vendor.submit(view, {"reason": "no"})
    top = vendor.view
    assert top is not None and top.under is view and view.is_open
    sample.answer = {"response_action": "update", "view": modal(title="x" * 25)}
    assert (await vendor.submit(top, {"reason": "no"})).error == "invalid_arguments"
    sample.answer = {"response_action": "clear"}
    await vendor.submit(top, {"reason": "no"})
    assert vendor.view is None and not view.is_open


async def test_a_modal_on_top(vendor: Slack, sample: Sample, message: Message) -> None:
    sample.deny = modal(section("Look", accessory=button("more")), clear_on_close=True)
    view = await opened(vendor, message)
    await vendor.press(view, "more", user=vendor.world.ben)
    top = await vendor.wait_for(lambda: vendor.view if vendor.view is not view else None)
    assert (top.title, top.under) == ("More", view)
    assert sample.seen[-1]["container"] == {"type": "view", "view_id": view.id}
    assert (await vendor.close(top)).status == 0 and vendor.view is view
    await vendor.press(view, "more", user=vendor.world.ben)
    await vendor.wait_for(lambda: vendor.view if vendor.view is not view else None)
    await vendor.close(view)
    assert vendor.view is None


async def test_no_more_than_three_modals(vendor: Slack, sample: Sample, message: Message) -> None:
    world, client = vendor.world, sample.client
    views = [await opened(vendor, message)]
    for _ in range(2):
        trigger = world.add_trigger(world.acme, world.ben, views[-1])
        said: Any = await client.views_push(trigger_id=trigger.id, view=modal())
        views.append(world.views[-1])
        assert said["view"]["previous_view_id"] == views[-2].id
        assert said["view"]["root_view_id"] == views[0].id
    trigger = world.add_trigger(world.acme, world.ben, views[-1])
    with pytest.raises(SlackApiError, match="push_limit_reached"):
        await client.views_push(trigger_id=trigger.id, view=modal())
    await vendor.close(views[-1], everything=True)
    assert world.open_views(world.ben) == []
    trigger = world.add_trigger(world.acme, world.ben, views[-1])
    with pytest.raises(SlackApiError, match="not_found"):
        await client.views_push(trigger_id=trigger.id, view=modal())
    many = [section("x" * 3000)] * 90
    with pytest.raises(SlackApiError, match="view_too_large"):
        await client.views_publish(user_id=world.ben.id, view={"type": "home", "blocks": many})


async def test_a_modal_that_is_closed(vendor: Slack, sample: Sample, message: Message) -> None:
    sample.deny = modal(notify_on_close=True)
    view = await opened(vendor, message)
    assert (await vendor.close(view)).good and not view.is_open
    assert (sample.seen[-1]["type"], sample.seen[-1]["is_cleared"]) == ("view_closed", False)


async def test_triggers_end(vendor: Slack, sample: Sample, message: Message) -> None:
    async def refused(trigger: str, view: dict[str, Any] | None = None) -> str:
        with pytest.raises(SlackApiError) as error:
            await sample.client.views_open(trigger_id=trigger, view=view or modal())
        response: Any = error.value.response
        return response["error"]

    await opened(vendor, message)
    used = sample.seen[-1]["trigger_id"]
    assert await refused(used) == "exchanged_trigger_id"
    assert await refused("1.2.3") == "invalid_trigger_id"
    late = vendor.world.add_trigger(vendor.world.acme, vendor.world.anna)
    late.expired = True
    assert await refused(late.id) == "expired_trigger_id"
    other = vendor.world.add_trigger(vendor.world.elsewhere, vendor.world.mallory)
    assert await refused(other.id) == "invalid_trigger_id"
    assert await refused(other.id, {"type": "home", "blocks": []}) == "invalid_arguments"


async def test_views_are_updated(vendor: Slack, sample: Sample, message: Message) -> None:
    sample.deny = modal(external_id="request-7")
    view = await opened(vendor, message)
    before = view.hash
    await sample.client.views_update(
        external_id="request-7", view=modal(title="New", external_id="request-7")
    )
    assert (view.title, view.hash == before) == ("New", False)
    with pytest.raises(SlackApiError, match="hash_conflict"):
        await sample.client.views_update(view_id=view.id, hash=before, view=modal())
    trigger = vendor.world.add_trigger(vendor.world.acme, vendor.world.anna)
    with pytest.raises(SlackApiError, match="duplicate_external_id"):
        await sample.client.views_open(trigger_id=trigger.id, view=sample.deny)
    await vendor.close(view)
    with pytest.raises(SlackApiError, match="not_found"):
        await sample.client.views_update(view_id=view.id, view=modal())


async def test_a_command(vendor: Slack, sample: Sample) -> None:
    world = vendor.world
    answer = await vendor.command("/assentry", "all", user=world.ben, channel=world.approvals)
    assert answer.good and answer.json["text"] == "waiting: all"
    assert vendor.last is not None and vendor.last.only_for is world.ben
    assert (vendor.last.text, vendor.last.channel) == ("waiting: all", world.approvals)
    told = sample.seen[0]
    assert (told["command"], told["channel_name"]) == ("/assentry", "approvals")
    before = len(world.messages)
    assert (await vendor.command("/assentry")).good
    assert len(world.messages) == before and sample.seen[1]["channel_name"] == "directmessage"
    with pytest.raises(LookupError, match="has left"):
        await vendor.command("/assentry", user=world.dora)


async def test_an_unknown_command(vendor: Slack, sample: Sample) -> None:
    vendor.sockets.deadline = 0.05
    answer = await vendor.command("/other", "x")
    assert not answer.good and answer.status in {0, 404} and vendor.last is None


async def test_a_home_tab(vendor: Slack, sample: Sample) -> None:
    anna, acme = vendor.world.anna, vendor.world.acme
    assert (await vendor.open_home(anna)).good
    home = await vendor.wait_for(lambda: acme.homes.get(anna.id))
    assert home.kind == "home" and "view" not in sample.seen[0]
    assert (await vendor.press(home, "open", block_id="second")).good
    assert sample.seen[-1]["view"]["id"] == home.id
    with pytest.raises(LookupError):
        await vendor.press(home, "open", user=vendor.world.ben)
    await vendor.open_home(anna)
    await vendor.wait_for(lambda: len(home.versions) == 2)
    assert sample.seen[-1]["view"]["id"] == home.id


async def test_a_response_url(vendor: Slack, sample: Sample, message: Message) -> None:
    assert (await vendor.press(message, "thank", user=vendor.world.ben)).good
    await vendor.wait_for(lambda: message.edited)
    said = vendor.last
    assert said is not None and (said.text, said.only_for) == ("thank you", vendor.world.ben)
    assert (message.text, message.blocks) == ("thanked", [])


async def test_an_ephemeral_message(vendor: Slack, sample: Sample) -> None:
    world = vendor.world
    content = Content("psst", [buttons("thank")])
    message = world.add_message(world.acme, world.approvals, content, only_for=world.ben)
    await vendor.press(message, "thank", user=world.ben)
    await vendor.wait_for(lambda: message.edited)
    told = sample.seen[0]
    assert told["container"]["is_ephemeral"] and "message" not in told
    with pytest.raises(LookupError):
        await vendor.press(message, "thank", user=world.anna, anyway=False)


async def test_an_event(vendor: Slack, sample: Sample) -> None:
    answer = await vendor.event({"type": "app_uninstalled"})
    assert answer.good and sample.seen[0]["event"]["type"] == "app_uninstalled"
    again = await vendor.redeliver(answer)
    assert again.good
    first, second = sample.seen
    assert first["event_id"] == second["event_id"]


async def test_a_press_twice(vendor: Slack, sample: Sample, message: Message) -> None:
    answer = await vendor.press(message, "approve", repeat=3)
    assert [one.good for one in (answer, *answer.repeats)] == [True] * 3
    await vendor.wait_for(lambda: len(sample.seen) == 3)
    assert len({one["actions"][0]["action_ts"] for one in sample.seen}) == 1
    assert (await vendor.redeliver(answer)).payload == answer.payload


async def test_shared_channels(vendor: Slack, sample: Sample) -> None:
    world = vendor.world
    content = Content("x", [buttons("open")])
    message = world.add_message(world.acme, world.partners, content)
    answer: Answer = await vendor.press(message, "open", user=world.mallory)
    assert answer.payload["team"]["id"] == world.acme.id
    assert answer.payload["user"]["team_id"] == world.elsewhere.id
