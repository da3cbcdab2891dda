"""A desk at the port for the Discord channel: it knows some people, and counts their ballots."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from app.clock import SystemClock
from app.core.action import PlainAction, Submission, Urgency
from app.core.approval_card import ApprovalCard, Standing, approval_card
from app.core.card import card_of
from app.core.errors import AlreadyDecided, AssentryError, InvalidField, NotFound, NotLinked
from app.core.ports import Account, Said
from app.core.request import Choice, Status
from integrations.discord.channel import DiscordChannel
from integrations.discord.inbound import DiscordInbound
from integrations.discord.rest import Rest
from integrations.discord.settings import DiscordSettings
from tests.support.discord_server import Discord

PAGE = "https://gate.example/requests/req_1"
LINK = "https://gate.example/account/link/one-time"
STANDING = Standing(
    request_id="req_1", digest="d" * 64, version=1, status=Status.PENDING,
    state="Waiting: 0 of 1 approvals", urgency="normal", risk="high",
    risk_reasons=("deletes data (60)",),
    facts=(("Agent", "robot"), ("Owner", "Olga"), ("Rule", "mail › ask")),
    seats=("any approver: open",), timeline=("2026-11-21 05:00:00 UTC submitted by robot",),
    pending=True, reason_required=False, url=PAGE,
)  # fmt: skip


def card(text: str = "hello", reason: str = "please", **standing: Any) -> ApprovalCard:
    """Return a card as the core makes it of hostile or harmless words."""
    asked = Submission("agt_1", PlainAction("send", {"text": text}), None, Urgency.NORMAL,
                       reason, {"note": text})  # fmt: skip
    made = approval_card(card_of(asked, ("Authorization: <mail>",)), replace(STANDING, **standing))
    return replace(made, token="token-1")


def settings(vendor: Discord, **given: Any) -> DiscordSettings:
    """Return settings that lead to the played vendor."""
    values = {"token": vendor.world.token, "api_url": vendor.api_url, "timeout": 3.0, **given}
    return DiscordSettings.model_validate(values)


def http_settings(vendor: Discord, **given: Any) -> DiscordSettings:
    """Return settings with which the vendor posts to us."""
    own = {"application_id": str(vendor.world.bot.id), "public_key": vendor.public_key}
    return settings(vendor, mode="http", **{**own, **given})


def channel(vendor: Discord, **given: Any) -> DiscordChannel:
    """Return a channel at the played vendor."""
    made = settings(vendor, **given)
    return DiscordChannel(made, Rest(made))


def inbound(made: DiscordSettings, rest: Rest, desk: "FakeDesk") -> DiscordInbound:
    """Return a way in that leads to a desk."""
    return DiscordInbound(made, rest, desk, SystemClock())


@dataclass
class FakeDesk:
    """Knows one card, and who is linked.

    :ivar linked: accounts that may vote.
    :ivar said: the ballots that were counted.
    :ivar asked: how often anything was asked.
    :ivar away: who was turned away, and why.
    :ivar unsigned: from where something came without proof.
    :ivar gate: while it is clear, nothing is answered.
    :ivar noted: set when somebody was turned away.
    """

    linked: set[str]
    shown: ApprovalCard = field(default_factory=card)
    failure: Exception | None = None
    said: list[tuple[str, Choice, str]] = field(default_factory=list[tuple[str, Choice, str]])
    asked: int = 0
    away: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    unsigned: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    noted: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Begin open."""
        self.gate.set()

    async def cast(self, account: Account, token: str, choice: Choice, comment: str = "") -> Said:
        """Count a ballot."""
        await self._known(account, token)
        if not self.shown.pending:
            raise AlreadyDecided
        if self.shown.reason_required and not comment.strip():
            message = "the policy asks for a comment with this decision"
            raise InvalidField(message)
        self.said.append((account.id, choice, comment))
        word = "Approved" if choice is Choice.APPROVE else "Denied"
        status = Status.APPROVED if choice is Choice.APPROVE else Status.DENIED
        self.shown = replace(self.shown, pending=False, status=status, version=2,
                             state=f"{word} by Anna (discord)")  # fmt: skip
        return Said("Your vote is counted.", self.shown)

    async def card(self, account: Account, token: str) -> ApprovalCard:
        """Return the card."""
        await self._known(account, token)
        return self.shown

    async def show(self, account: Account, request_id: str) -> ApprovalCard:
        """Return the card without its token."""
        await self._known(account)
        if request_id != self.shown.request_id:
            message = "there is no such request"
            raise NotFound(message)
        return replace(self.shown, token="")

    async def inbox(self, account: Account) -> tuple[ApprovalCard, ...]:
        """Return what waits."""
        await self._known(account)
        return (replace(self.shown, token=""),) if self.shown.pending else ()

    async def turned_away(self, account: Account, error: AssentryError) -> None:
        """Record it."""
        self.away.append((account.id, error.code))
        self.noted.set()

    async def unproven(self, channel: str, address: str) -> None:
        """Record it."""
        self.unsigned.append((channel, address))

    async def _known(self, account: Account, token: str = "token-1") -> None:
        self.asked += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        if account.id not in self.linked:
            raise NotLinked(extra={"url": LINK})
        if account.channel != "discord" or token != "token-1":
            message = "there is no such card here"
            raise NotFound(message)
