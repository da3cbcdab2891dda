"""A channel at the port, as honest as the real ones: it keeps messages and may be down."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from app.core.approval_card import ApprovalCard, Painted
from app.core.json_types import JsonObject, JsonValue
from app.core.ports import DeliveryFailed, Digest, Posted


@dataclass
class Message:
    """One message somebody can see, with everything it showed so far."""

    recipient: str
    cards: list[ApprovalCard] = field(default_factory=list[ApprovalCard])
    digest: Digest | None = None

    @property
    def card(self) -> ApprovalCard:
        """What it shows now."""
        return self.cards[-1]


@dataclass
class FakeChannel:
    """Takes every message, unless ``failure`` is set.

    :ivar complete: whether its messages show everything.
    :ivar gate: while it is clear, nothing is answered.
    """

    name: ClassVar[str] = "chat"
    wants_link: ClassVar[bool] = False
    messages: list[Message] = field(default_factory=list[Message])
    failure: DeliveryFailed | None = None
    complete: bool = True
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        """Begin open."""
        self.gate.set()

    async def _turn(self) -> None:
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure

    async def deliver(self, card: ApprovalCard, recipient: str) -> Posted:
        """Show a card."""
        await self._turn()
        self.messages.append(Message(recipient, [card]))
        return await self._posted(card, len(self.messages) - 1)

    async def refresh(self, card: ApprovalCard, recipient: str, reference: JsonObject) -> Posted:
        """Bring a message to what the card says now."""
        await self._turn()
        number = reference["number"]
        assert isinstance(number, int)
        assert self.messages[number].recipient == recipient
        self.messages[number].cards.append(card)
        return await self._posted(card, number)

    async def digest(self, digest: Digest, recipient: str) -> Posted:
        """Show several requests in one message."""
        await self._turn()
        self.messages.append(Message(recipient, digest=digest))
        async with self._news:
            self._news.notify_all()
        return Posted({"number": len(self.messages) - 1})

    async def _posted(self, card: ApprovalCard, number: int) -> Posted:
        async with self._news:
            self._news.notify_all()
        body: dict[str, JsonValue] = {"headline": card.headline, "version": card.version}
        painted = Painted(body, complete=self.complete)
        return Posted({"number": number}, painted.display, complete=self.complete)

    async def check(self) -> str:
        """Say who we are."""
        await self._turn()
        return "chat as assentry"

    async def close(self) -> None:
        """Let go of nothing."""

    async def until(self, done: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until something holds, looking after each message."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(done)
