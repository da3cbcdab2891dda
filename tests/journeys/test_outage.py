"""Channels are down for minutes: nothing is lost, nobody else is held up, escalation fires (R7)."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from app.core.delivery import Delivery, DeliveryState
from app.core.instant import SECOND
from app.core.request import Request
from app.core.strict_json import parse_json
from integrations.email.channel import EmailChannel
from integrations.email.settings import EmailSettings
from integrations.slack.channel import SlackChannel
from integrations.slack.client import SlackClient
from tests.support.leaping import Time, leaping
from tests.support.slack_desk import settings as slack_settings
from tests.support.slack_faults import Fault
from tests.support.slack_server import Slack
from tests.support.smtp import MailSink
from tests.support.world import FakeClock, World, world

pytestmark = [pytest.mark.requirement("CH-6", "DEC-6"), pytest.mark.timeout(200)]

PATIENCE: Final = 60.0
EACH_MINUTE: Final = 3
SOON: Final = 300
"""Seconds after an outage within which everything is told."""

ESCALATES: Final = 150

SLACK_WEATHER: Final[tuple[dict[str, Any], ...]] = (
    {"status": 429, "retry_after": 30}, {"status": 500}, {"hang": True}, {"drop": True},
    {"text": "<html>"}, {"status": 503}, {"error": "ratelimited"}, {"error": "fatal_error"},
    {"status": 429, "retry_after": 70}, {"drop": True},
)  # fmt: skip
"""What Slack does in each minute of ten."""

MAIL_WEATHER: Final[tuple[dict[str, str], ...]] = (
    {"sender": "421 too busy"}, {"rcpt": "450 try later"}, {"data": "451 not now"}, {"data": ""},
    {"sender": "530 sign in first"}, {"rcpt": "452 full"}, {"data": "421 shutting down"},
    {"sender": "550 not you"}, {"data": ""}, {"data": "451 not now"},
)  # fmt: skip
GOOD: Final = {"sender": "250 OK", "rcpt": "250 OK", "data": "250 OK"}


@dataclass
class Scene:
    """The product between two played vendors, of which one is down."""

    place: World
    slack: Slack
    sink: MailSink
    clock: FakeClock
    fault: Fault | None = None
    asked: list[Request] = field(default_factory=list[Request])

    async def prepare(self) -> None:
        """Link the accounts, and let Anne be asked first, and Ben when she does not answer."""
        services, team = self.place.services, self.slack.world.acme
        people = ((self.place.anne, self.slack.world.anna), (self.place.ben, self.slack.world.ben))
        for who, user in people:
            account = f"{team.id}:{user.id}"
            await services.accounts.link(self.place.anne, who.actor.id, "slack", account)
        route = {
            "approvers": ["person:anne@example.org"], "expires_in": 7200,
            "escalation": [{"after": ESCALATES, "approvers": ["person:ben@example.org"]}],
        }  # fmt: skip
        await self.place.policy("ladder", "review", {"action": "send_mail"}, route=route)

    async def ask(self) -> None:
        """Ask a few times."""
        for _ in range(EACH_MINUTE):
            self.asked.append(await self.place.ask())

    def slack_is(self, weather: dict[str, Any]) -> None:
        """Let calls of Slack go wrong; nothing is good weather."""
        if self.fault is not None:
            self.fault.lift()
        self.fault = self.slack.fault("*", count=None, **weather) if weather else None

    def mail_is(self, weather: dict[str, str]) -> None:
        """Let mails go wrong; nothing is good weather."""
        for name, said in {**GOOD, **weather}.items():
            setattr(self.sink, name, said)

    async def deliveries(self, channel: str) -> list[Delivery]:
        """Return what was to be told in a channel."""
        return await self.place.services.store.read(
            lambda tx: tx.deliveries.find(channel=channel, limit=1000)
        )

    async def waited(self, delivery: Delivery, since: int = 0) -> float:
        """Return the seconds until somebody saw a card: from its making, or from an instant."""
        tries = await self.place.services.store.read(lambda tx: tx.deliveries.attempts(delivery.id))
        taken = next(item.at for item in tries if item.outcome == "taken")
        return (taken - max(since, delivery.created_at)) / SECOND

    async def minute(self, time: Time) -> None:
        """Let a minute pass, with whatever falls due in it."""
        end = self.clock.now() + 60 * SECOND
        time.ends = type(self.clock.now())(end)
        await time.over(PATIENCE)
        self.clock.at = max(self.clock.at, end)
        await self.place.services.sweeps.tick()

    def messages(self, channel: str) -> Counter[str]:
        """Return how often the vendor has which message."""
        if channel == "email":
            return Counter(str(mail["Message-ID"]) for mail in self.sink.mails)
        return Counter(f"{item.channel.id} {item.ts}" for item in self.slack.world.messages)


def reference(delivery: Delivery) -> str:
    """Return what the vendor calls a message that it took."""
    found = parse_json(delivery.reference.encode())
    assert isinstance(found, dict)
    names = ("message_id",) if delivery.channel == "email" else ("channel", "ts")
    return " ".join(str(found[name]) for name in names)


@asynccontextmanager
async def scene(database_url: str, folder: Path, sink: MailSink) -> AsyncGenerator[Scene, None]:
    """Run the product with real channels to both vendors; they are not waited for long."""
    clock = FakeClock()
    async with sink, Slack() as slack:
        mail = EmailSettings.model_validate(
            {"host": "127.0.0.1", "port": sink.port, "security": "none", "timeout": 4.0,
             "sender": "gate@example.org"}
        )  # fmt: skip
        chat = SlackChannel(SlackClient(slack_settings(slack, timeout=3.0)))
        channels = (chat, EmailChannel(mail, clock))
        async with world(database_url, folder, clock=clock, channels=channels) as place:
            made = Scene(place, slack, sink, clock)
            await made.prepare()
            yield made


@pytest.mark.parametrize("down", ["slack", "email"])
async def test_ten_bad_minutes(database_url: str, tmp_path: Path, down: str) -> None:
    up = "email" if down == "slack" else "slack"
    async with scene(database_url, tmp_path, MailSink()) as made:
        couriers = made.place.services.couriers
        async with leaping(made.place, couriers, "slack", "email") as time:
            for slack, mail in zip(SLACK_WEATHER, MAIL_WEATHER, strict=True):
                made.slack_is(slack) if down == "slack" else made.mail_is(mail)
                await made.ask()
                await made.minute(time)
                await unaffected(made, up)
            assert not made.messages(down)
            await escalated(made, up)
            recovery = made.clock.now()
            made.slack_is({})
            made.mail_is({})
            for _ in range(SOON // 60 + 1):
                await made.minute(time)
        await once(made, down, recovery)
        await once(made, up, recovery)


async def unaffected(made: Scene, up: str) -> None:
    """The other channel told everything within the minute, and held nothing back."""
    found = await made.deliveries(up)
    assert {item.state for item in found} == {DeliveryState.DONE}
    assert max([await made.waited(item) for item in found]) < 60


async def escalated(made: Scene, up: str) -> None:
    """Ben was asked of all that nobody answered in time, where it can be told."""
    ben = [item for item in await made.deliveries(up) if item.purpose == "escalated"]
    late = [item for item in made.asked
            if item.created_at + (ESCALATES + 60) * SECOND < made.clock.at]  # fmt: skip
    assert late and {item.id for item in late} <= {item.request_id for item in ben}


async def once(made: Scene, channel: str, recovery: int) -> None:
    """Everybody has each card once, and soon."""
    found = await made.deliveries(channel)
    assert Counter(item.state for item in found) == {DeliveryState.DONE: 2 * len(made.asked)}
    wanted = [(item.request_id, item.recipient) for item in found]
    assert len(set(wanted)) == len(wanted)
    assert made.messages(channel) == Counter(reference(item) for item in found)
    assert max([await made.waited(item, recovery) for item in found]) <= SOON


async def test_who_hangs_holds_up_nobody(database_url: str, tmp_path: Path) -> None:
    async with scene(database_url, tmp_path, MailSink(silent=True)) as made:
        couriers = made.place.services.couriers
        async with leaping(made.place, couriers, "slack", "email"):
            await made.ask()
            messages = made.slack.world.messages
            await made.slack.wait_for(lambda: len(messages) == EACH_MINUTE or None, PATIENCE)
            assert {item.state for item in await made.deliveries("email")} == {DeliveryState.DUE}
            for item in made.asked:
                await made.place.vote(item)
            decided = "Approved"
            await made.slack.wait_for(
                lambda: all(decided in item.shown for item in messages) or None, PATIENCE
            )
