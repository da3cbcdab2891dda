"""Discord, played: its REST interface, its gateway and its people, over real HTTP and WebSocket.

    async with Discord() as discord:
        with redirected(discord):
            ...  # a discord.py client logs in with discord.world.token
            answer = await discord.press(discord.world.last, "gate:approve:1", user=world.anna)

It listens on 127.0.0.1 alone. A page at ``/`` shows it to people.
"""

import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import yarl
from aiohttp import web

from app.clock import SystemClock
from tests.support.discord_actions import Actions
from tests.support.discord_endpoint import Endpoint
from tests.support.discord_faults import Call, Fault, News
from tests.support.discord_gateway import Gateway, closed
from tests.support.discord_page import Page
from tests.support.discord_rest import BASE, Rest
from tests.support.discord_world import World

T = TypeVar("T")
_PATIENCE: Final = 5.0


class Discord(Actions):
    """The vendor; use it as an async context manager.

    :ivar world: who is there, and what was written; change it at any time.
    :ivar gateway: its sessions; it can be made to reconnect, to break, to forget.
    :ivar url: address of the page.
    """

    def __init__(self, clock: SystemClock | None = None, *, port: int = 0) -> None:
        """Prepare everything; nothing listens yet."""
        world, news = World(clock or SystemClock()), News()
        gateway = Gateway(world, news)
        self.rest = Rest(world, gateway, news)
        endpoint = Endpoint(world.snowflakes.clock)
        super().__init__(world, gateway, self.rest.answers, endpoint)
        self.rest.set_endpoint = self.set_endpoint
        world.verify_key = endpoint.verify_key
        self.url = ""
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def api_url(self) -> str:
        """What takes the place of ``https://discord.com/api/v10``."""
        return self.url + BASE

    @property
    def public_key(self) -> str:
        """The application's public key, in hexadecimal."""
        return self.endpoint.verify_key

    @property
    def calls(self) -> list[Call]:
        """Every call of the REST interface, in order."""
        return self.rest.calls

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=32 << 20)
        self.rest.add_to(app)
        app.router.add_get("/gateway", self.gateway.serve)
        app.router.add_get("/gateway/", self.gateway.serve)
        Page(self).add_to(app)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.gateway.url = f"ws{self.url.removeprefix('http')}/gateway"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for fault in self.rest.faults:
            fault.lift()
        await closed(self.gateway)
        if self._runner is not None:
            await self._runner.cleanup()

    def fault(self, route: str, **what: Any) -> Fault:
        """Let the next calls of a route go wrong; the fields are those of :class:`Fault`."""
        fault = Fault(route, **what)
        self.rest.faults.append(fault)
        return fault

    async def wait_for(self, predicate: Callable[[], T], seconds: float = _PATIENCE) -> T:
        """Return what a predicate says once that is true; it looks after every event.

        :raises TimeoutError: it was not in time.
        """
        return await self.news.wait_for(predicate, seconds)

    async def ready(self, sessions: int = 1) -> None:
        """Wait until so many sessions are connected."""
        await self.wait_for(lambda: len(self.gateway.connected) >= sessions)


@contextmanager
def redirected(discord: Discord) -> Generator[None]:
    """Point discord.py to the played vendor, and back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its import of audioop
        from discord.gateway import DiscordWebSocket  # noqa: PLC0415 - the server needs it not
        from discord.http import Route  # noqa: PLC0415
    base, default = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
    Route.BASE = discord.api_url
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(discord.gateway.url)
    try:
        yield
    finally:
        Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = base, default
