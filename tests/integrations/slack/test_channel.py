"""Cards in Slack: posted, changed, and what goes wrong said in our words."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from app.core.ports import DeliveryFailed, Digest
from app.core.request import Status
from integrations.slack.channel import SlackChannel
from integrations.slack.client import SlackClient
from tests.support.cards import card
from tests.support.slack_desk import settings
from tests.support.slack_server import Slack

pytestmark = pytest.mark.requirement("CH-1", "CH-6")


@pytest.fixture
async def channel(vendor: Slack) -> AsyncIterator[SlackChannel]:
    """The channel, before the played vendor."""
    made = SlackChannel(SlackClient(settings(vendor, timeout=0.5)))
    yield made
    await made.close()


FAULTS: list[dict[str, Any]] = [
    {"status": 500}, {"status": 503}, {"hang": True}, {"text": "<html>"}, {"text": "[]"},
    {"drop": True},
]  # fmt: skip


def anna(vendor: Slack) -> str:
    """Return where Anna gets direct messages."""
    return f"{vendor.world.acme.id}:{vendor.world.anna.id}"


async def test_posts_to_people_and_channels_and_changes_both(
    vendor: Slack, channel: SlackChannel
) -> None:
    for recipient in (anna(vendor), vendor.world.approvals.id):
        posted = await channel.deliver(card(), recipient)
        message = vendor.last
        assert message is not None and "Approve send" in message.shown and posted.complete
        over = replace(card(), pending=False, status=Status.DENIED, state="Denied by Ada (slack)")
        changed = await channel.refresh(over, recipient, posted.reference)
        assert "Denied by Ada (slack)" in message.shown and changed.reference == posted.reference
        assert changed.display != posted.display and len(message.versions) == 2
        again = await channel.refresh(over, recipient, posted.reference)
        assert again == changed
    (post, _) = vendor.calls_of("chat.postMessage")
    assert post.arguments["unfurl_links"] is False and post.arguments["unfurl_media"] is False


async def test_digests_and_the_check(vendor: Slack, channel: SlackChannel) -> None:
    await channel.digest(Digest("2 wait", ("a", "b"), "https://gate.example/"), anna(vendor))
    assert vendor.last is not None and "2 wait" in vendor.last.shown
    assert vendor.world.acme.name in await channel.check()


@pytest.mark.parametrize("recipient", ["", "anna", "#approvals", "U1\nC2", "T1:", "c123"])
async def test_odd_recipients_are_refused(channel: SlackChannel, recipient: str) -> None:
    with pytest.raises(DeliveryFailed, match="not an address") as caught:
        await channel.deliver(card(), recipient)
    assert caught.value.permanent


async def test_other_workspaces_are_refused(vendor: Slack, channel: SlackChannel) -> None:
    world = vendor.world
    with pytest.raises(DeliveryFailed, match="another workspace") as caught:
        await channel.deliver(card(), f"{world.elsewhere.id}:{world.mallory.id}")
    assert caught.value.permanent and vendor.last is None


async def test_limits_are_kept(vendor: Slack, channel: SlackChannel) -> None:
    vendor.fault("chat.postMessage", status=429, retry_after=17)
    with pytest.raises(DeliveryFailed) as caught:
        await channel.deliver(card(), vendor.world.approvals.id)
    assert caught.value.retry_after == 17 and not caught.value.permanent


async def test_what_can_be_mended_is_tried_again(vendor: Slack, channel: SlackChannel) -> None:
    vendor.world.acme.token_error = "token_revoked"
    with pytest.raises(DeliveryFailed, match="token_revoked") as caught:
        await channel.check()
    assert not caught.value.permanent
    vendor.world.acme.token_error = ""
    with pytest.raises(DeliveryFailed, match="channel_not_found") as lost:
        await channel.deliver(card(), "C0NOWHERE")
    assert lost.value.permanent


async def test_silence_and_noise_are_failures(vendor: Slack, channel: SlackChannel) -> None:
    recipient = vendor.world.approvals.id
    for what in (
        {"status": 500},
        {"status": 503},
        {"hang": True},
        {"text": "<html>"},
        {"text": "[]"},
        {"drop": True},
    ):
        fault = vendor.fault("chat.postMessage", **what)
        with pytest.raises(DeliveryFailed) as caught:
            await channel.deliver(card(), recipient)
        assert not caught.value.permanent, what
        fault.lift()
    assert (await channel.deliver(card(), recipient)).complete
