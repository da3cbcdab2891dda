"""A desk that notes what comes, behind the real way in of Slack, over either door."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import uvicorn
from starlette.applications import Starlette

from app.clock import SystemClock
from app.core.approval_card import ApprovalCard
from app.core.errors import AssentryError
from app.core.ports import Account, Said
from app.core.request import Choice
from integrations.slack.channel import SlackChannel
from integrations.slack.client import SlackClient
from integrations.slack.inbound import PATH, SlackInbound
from integrations.slack.settings import SlackSettings
from tests.support.slack_server import Slack


@dataclass
class NotedDesk:
    """Takes every ballot, unless ``refusal`` is set.

    :ivar held: while it is cleared, ballots wait.
    """

    shown: ApprovalCard
    refusal: AssentryError | None = None
    ballots: list[tuple[str, str, Choice, str]] = field(
        default_factory=list[tuple[str, str, Choice, str]]
    )
    away: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    unsigned: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    held: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Hold nothing back."""
        self.held.set()

    async def cast(self, account: Account, token: str, choice: Choice, comment: str = "") -> Said:
        """Note a ballot."""
        await self.held.wait()
        self._refuse()
        self.ballots.append((account.id, token, choice, comment))
        return Said("Your approval is counted.", self.shown)

    async def card(self, account: Account, token: str) -> ApprovalCard:
        """Return the card."""
        del account
        self._refuse()
        return replace(self.shown, token=token)

    async def show(self, account: Account, request_id: str) -> ApprovalCard:
        """Return the card of any request."""
        del account
        self._refuse()
        return replace(self.shown, token="", request_id=request_id)

    async def inbox(self, account: Account) -> tuple[ApprovalCard, ...]:
        """Return the one card."""
        del account
        self._refuse()
        return (replace(self.shown, token=""),)

    async def turned_away(self, account: Account, error: AssentryError) -> None:
        """Note who was turned away."""
        self.away.append((account.id, error.code))

    async def unproven(self, channel: str, address: str) -> None:
        """Note what came without proof."""
        self.unsigned.append((channel, address))

    def _refuse(self) -> None:
        if self.refusal is not None:
            raise self.refusal


def settings(slack: Slack, door: str = "http", **given: object) -> SlackSettings:
    """Return settings that lead to the played Slack."""
    app = slack.world.app
    own = {"app_token": app.app_token} if door == "socket" else {}
    values = {
        "bot_token": slack.world.acme.bot_token, "signing_secret": app.signing_secret,
        "app_id": app.id, "api_url": slack.api_url, "timeout": 2.0, **own, **given,
    }  # fmt: skip
    return SlackSettings.model_validate(values)


@dataclass(frozen=True)
class Product:
    """The channel, and the desk behind its way in."""

    channel: SlackChannel
    desk: NotedDesk


@asynccontextmanager
async def product(
    slack: Slack, card: ApprovalCard, door: str = "http", **given: object
) -> AsyncGenerator[Product, None]:
    """Run channel and way in against the played Slack."""
    chosen = settings(slack, door, **given)
    channel, desk = SlackChannel(SlackClient(chosen)), NotedDesk(card)
    inbound = SlackInbound(chosen, channel.client, desk, SystemClock())
    opened = _socket(inbound, slack) if door == "socket" else _http(inbound, slack)
    try:
        async with opened:
            yield Product(channel, desk)
    finally:
        await channel.close()


@asynccontextmanager
async def _http(inbound: SlackInbound, slack: Slack) -> AsyncGenerator[None, None]:
    app = Starlette(routes=list(inbound.routes()))
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    sock = config.bind_socket()
    sock.listen()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(sock.close)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        group.create_task(server.serve([sock]))
        slack.world.app.set_request_url(f"http://127.0.0.1:{sock.getsockname()[1]}{PATH}")
        try:
            yield
        finally:
            server.should_exit = True


@asynccontextmanager
async def _socket(inbound: SlackInbound, slack: Slack) -> AsyncGenerator[None, None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(inbound.run())
        await slack.wait_for(lambda: slack.sockets.live or None)
        try:
            yield
        finally:
            task.cancel()
