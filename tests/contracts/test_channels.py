"""What every channel owes, run over the registry against real servers of ours."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import pytest

from app.core.approval_card import ApprovalCard
from app.core.card import Block
from app.core.ports import Channel, DeliveryFailed, Digest
from app.core.request import Status
from integrations.email.channel import EmailChannel
from integrations.registry import CHANNELS
from integrations.slack.channel import SlackChannel
from integrations.slack.client import SlackClient
from tests.integrations.email.conftest import channel as email_channel
from tests.support import discord_desk, slack_desk
from tests.support.cards import card
from tests.support.discord_server import Discord
from tests.support.slack_server import Slack
from tests.support.smtp import MailSink, parts

pytestmark = [pytest.mark.requirement("CH-5", "CH-6"), pytest.mark.timeout(60)]


@dataclass
class Bench:
    """A channel with the product behind it.

    :ivar words: returns all that a reader sees, of every message.
    :ivar controls: returns what can be pressed in the newest message to decide.
    :ivar down: lets everything fail until ``up``.
    """

    channel: Channel
    recipient: str
    words: Callable[[], str]
    controls: Callable[[], list[str]]
    down: Callable[[], None]
    up: Callable[[], None]


@asynccontextmanager
async def mail() -> AsyncGenerator[Bench, None]:
    async with MailSink() as sink:
        made: EmailChannel = email_channel(sink)

        def controls() -> list[str]:
            return [line for line in parts(sink.mails[-1])[0].splitlines() if "Decide: " in line]

        def words() -> str:
            return "\n".join(parts(one)[0] for one in sink.mails)

        def answer(text: str) -> Callable[[], None]:
            return lambda: setattr(sink, "sender", text)

        yield Bench(made, "ben@example.org", words, controls,
                    answer("451 later"), answer("250 OK"))  # fmt: skip


@asynccontextmanager
async def slack() -> AsyncGenerator[Bench, None]:
    async with Slack() as vendor:
        made = SlackChannel(SlackClient(slack_desk.settings(vendor)))

        def controls() -> list[str]:
            found = vendor.last.buttons if vendor.last else []
            return [one["action_id"] for one in found if "url" not in one]

        def words() -> str:
            return "\n".join(message.shown for message in vendor.world.messages)

        def up() -> None:
            for fault in vendor.api.faults:
                fault.lift()

        try:
            yield Bench(made, vendor.world.approvals.id, words, controls,
                        lambda: void(vendor.fault("*", status=503, count=None)), up)  # fmt: skip
        finally:
            await made.close()


@asynccontextmanager
async def discord() -> AsyncGenerator[Bench, None]:
    async with Discord() as vendor:
        made = discord_desk.channel(vendor)

        def words() -> str:
            return "\n".join(message.text for message in vendor.world.messages)

        try:
            yield Bench(made, f"channel:{vendor.world.approvals.id}", words,
                        lambda: list(vendor.world.last.buttons),
                        lambda: void(vendor.fault("*", status=503, left=None)),
                        vendor.rest.faults.clear)  # fmt: skip
        finally:
            await made.close()


def void(_value: object) -> None:
    """Drop a value."""


BENCHES: Final[dict[str, Callable[[], AbstractAsyncContextManager[Bench]]]] = {
    "email": mail, "slack": slack, "discord": discord,
}  # fmt: skip


@pytest.fixture(params=BENCHES)
async def bench(request: pytest.FixtureRequest) -> AsyncGenerator[Bench, None]:
    async with BENCHES[request.param]() as opened:
        yield opened


def large() -> ApprovalCard:
    """Return a card that fits nowhere."""
    shown = card()
    return replace(shown, blocks=(Block("Body", "tail\n" * 60_000),))


def decided() -> ApprovalCard:
    over = card(state="Denied by Ada (slack)", status=Status.DENIED, pending=False, version=2)
    return replace(over, link="")


def test_every_channel_is_here() -> None:
    assert {registered.name for registered in CHANNELS} == set(BENCHES)


async def test_a_card_is_shown_whole_and_can_be_decided(bench: Bench) -> None:
    posted = await bench.channel.deliver(card("rm -rf /tmp/x"), bench.recipient)
    words = bench.words()
    assert posted.complete and len(posted.display) == 64 and posted.reference
    assert "rm -rf /tmp/x" in words and "req_1" in words and "d" * 12 in words
    assert "claimed, not checked" in words and bench.controls()


async def test_it_follows_and_says_it_once(bench: Bench) -> None:
    posted = await bench.channel.deliver(card(), bench.recipient)
    after = await bench.channel.refresh(decided(), bench.recipient, posted.reference)
    words = bench.words()
    assert "Denied by Ada" in words and not bench.controls()
    again = await bench.channel.refresh(decided(), bench.recipient, after.reference)
    assert again.reference == after.reference and bench.words() == words


async def test_what_does_not_fit_is_counted_and_not_approved(bench: Bench) -> None:
    posted = await bench.channel.deliver(large(), bench.recipient)
    assert not posted.complete
    assert "are not shown here" in bench.words()
    assert not [control for control in bench.controls() if "approve" in control.lower()]
    assert not [control for control in bench.controls() if "Decide" in control]


async def test_a_digest_decides_nothing(bench: Bench) -> None:
    waiting = Digest("2 requests wait", ("one expires soon", "two"), "https://gate.example/")
    await bench.channel.digest(waiting, bench.recipient)
    assert "2 requests wait" in bench.words() and "one expires soon" in bench.words()
    assert not bench.controls()


async def test_an_outage_is_temporary_and_ends(bench: Bench) -> None:
    posted = await bench.channel.deliver(card(), bench.recipient)
    bench.down()
    for work in (
        bench.channel.deliver(card(), bench.recipient),
        bench.channel.refresh(decided(), bench.recipient, posted.reference),
    ):
        with pytest.raises(DeliveryFailed) as caught:
            await work
        assert not caught.value.permanent
    bench.up()
    assert (await bench.channel.refresh(decided(), bench.recipient, posted.reference)).display


async def test_nonsense_for_a_recipient_is_final(bench: Bench) -> None:
    for recipient in ("", "nobody at all", "<!channel>", "a\r\nb"):
        with pytest.raises(DeliveryFailed) as caught:
            await bench.channel.deliver(card(), recipient)
        assert caught.value.permanent, recipient


async def test_it_knows_who_we_are(bench: Bench) -> None:
    assert await bench.channel.check()
