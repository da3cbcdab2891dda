"""A scene for the Discord channel: the played vendor, a desk, and one of the two ways in."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette

from integrations.discord.channel import DiscordChannel
from integrations.discord.inbound import PATH, DiscordInbound
from integrations.discord.rest import Rest
from tests.support.discord_desk import FakeDesk, http_settings, inbound, settings
from tests.support.discord_message import Message
from tests.support.discord_people import User
from tests.support.discord_server import Discord
from tests.support.discord_world import Interaction


@dataclass
class Scene:
    """Everything that a press needs."""

    vendor: Discord
    desk: FakeDesk
    channel: DiscordChannel
    way: DiscordInbound

    async def post(self, **recipient: int) -> Message:
        """Post the desk's card: into a channel, ``user=...`` to somebody."""
        kind, number = next(
            iter((recipient or {"channel": self.vendor.world.approvals.id}).items())
        )
        await self.channel.deliver(self.desk.shown, f"{kind}:{number}")
        return self.vendor.world.last

    async def press(self, label: str, user: User, **more: Any) -> Interaction:
        """Press a button of the newest message."""
        message = self.vendor.world.last
        return await self.vendor.press(message, message.buttons[label], user=user, **more)

    async def whispered(self, to: Interaction) -> str:
        """Return what the presser alone reads, sooner or later."""

        def said() -> str:
            own = [*([to.message] if to.ephemeral and to.message else ()), *to.followups]
            return "\n".join(one.text for one in own if one.only_for is to.user and one.text)

        return await self.vendor.wait_for(said)

    async def settled(self, message: Message) -> str:
        """Return what a message says once it offers no votes."""
        await self.vendor.wait_for(lambda: not message.buttons)
        return message.text


@asynccontextmanager
async def scene(vendor: Discord, mode: str, **given: Any) -> AsyncGenerator[Scene, None]:
    """Play a scene in which Anna is linked."""
    made = (http_settings if mode == "http" else settings)(vendor, **given)
    rest = Rest(made)
    desk = FakeDesk({str(vendor.world.anna.id)})
    way = inbound(made, rest, desk)
    channel = DiscordChannel(made, rest)
    try:
        async with (served if mode == "http" else connected)(vendor, way):
            yield Scene(vendor, desk, channel, way)
    finally:
        await channel.close()


@asynccontextmanager
async def connected(vendor: Discord, way: DiscordInbound) -> AsyncGenerator[None, None]:
    """Hold the connection to the gateway."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(way.run())
        before = len(vendor.gateway.connected)
        await vendor.ready(before + 1)
        try:
            yield
        finally:
            task.cancel()


@asynccontextmanager
async def served(vendor: Discord, way: DiscordInbound) -> AsyncGenerator[None, None]:
    """Serve the door, and tell the vendor of it."""
    await way.run()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = _Server(Starlette(routes=list(way.routes())))
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve([sock]))
            await server.ready.wait()
            await vendor.set_endpoint(f"http://127.0.0.1:{sock.getsockname()[1]}{PATH}")
            try:
                yield
            finally:
                server.should_exit = True


class _Server(uvicorn.Server):
    """Uvicorn that leaves signals alone, and says when it listens."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
