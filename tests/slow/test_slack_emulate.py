"""The Slack channel against somebody else's Slack, so that not only our own beliefs are tested."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from app.core.ports import DeliveryFailed
from app.core.request import Choice, Status
from integrations.slack import views
from integrations.slack.channel import SlackChannel
from integrations.slack.client import SlackClient
from integrations.slack.settings import SlackSettings
from tests.support.cards import card
from tests.support.emulate import TOKEN, emulated

pytestmark = [
    pytest.mark.slow,
    pytest.mark.requirement("CH-1"),
    pytest.mark.timeout(360),
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with emulated("slack") as running:
        yield running


@pytest.fixture
async def channel(address: str) -> AsyncIterator[SlackChannel]:
    settings = SlackSettings.model_validate(
        {"bot_token": TOKEN, "signing_secret": "s", "app_id": "A0EMULATE",
         "api_url": f"{address}/api/"}
    )  # fmt: skip
    made = SlackChannel(SlackClient(settings))
    yield made
    await made.close()


async def general(channel: SlackChannel) -> str:
    found = await channel.client.call("conversations.list")
    return str(found["channels"][0]["id"])


async def newest(channel: SlackChannel, place: str) -> dict[str, Any]:
    found = await channel.client.call("conversations.history", channel=place, limit=1)
    return dict(found["messages"][0])


async def test_post_and_update(channel: SlackChannel) -> None:
    assert "Emulate" in await channel.check()
    place = await general(channel)
    posted = await channel.deliver(card("rm -rf /tmp/x"), place)
    shown = await newest(channel, place)
    assert shown["ts"] == posted.reference["ts"] and "send" in shown["text"]
    over = replace(card(), pending=False, status=Status.DENIED, state="Denied by Ada (slack)")
    await channel.refresh(over, place, posted.reference)
    assert "Denied by Ada" in (await newest(channel, place))["text"]


async def test_whispers_and_forms(channel: SlackChannel) -> None:
    place = await general(channel)
    me = await channel.client.me()
    note = views.note("Your approval is counted.")
    await channel.client.call("chat.postEphemeral", channel=place, user=me.user_id, text="counted",
                              blocks=note)  # fmt: skip
    made = await channel.client.call("views.generateTriggerId", user_id=me.user_id)
    form = views.form(card(), Choice.DENY)
    opened = await channel.client.call("views.open", trigger_id=made["trigger_id"], view=form)
    assert opened["view"]["callback_id"] == views.CALLBACK


async def test_refusals(channel: SlackChannel) -> None:
    with pytest.raises(DeliveryFailed, match="channel_not_found") as caught:
        await channel.deliver(card(), "C0NOWHERE")
    assert caught.value.permanent
