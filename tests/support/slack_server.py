"""Slack, played: its Web API, Socket Mode and its people, over real HTTP and WebSocket.

    async with Slack() as slack:
        client = AsyncWebClient(slack.world.acme.bot_token, base_url=slack.api_url)
        slack.world.app.set_request_url("http://127.0.0.1:…/slack")  # or None for Socket Mode
        message = await slack.wait_for(lambda: slack.last)
        answer = await slack.press(message, "approve", user=slack.world.anna)

People act by ``press``, ``submit``, ``close``, ``command`` and ``open_home``; ``event`` and
``verify`` are Slack's own. Each returns the application's ``Answer`` and takes the fields of
:class:`~tests.support.slack_answer.Odd` for what is not as it should be. ``replay`` posts a request
again byte for byte, ``redeliver`` as Slack does. ``fault`` lets calls go wrong, ``calls`` and
``calls_of`` tell what was called, ``last`` and ``view`` are the newest message and modal, and
``wait_for`` waits for anything to come true.

It listens on 127.0.0.1 alone. A page at ``/`` shows it to people.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from aiohttp import web

from app.clock import SystemClock
from tests.support.slack_actions import Actions
from tests.support.slack_api import Api
from tests.support.slack_faults import Call, Fault, News
from tests.support.slack_message import Message
from tests.support.slack_page import Page
from tests.support.slack_socket import Sockets
from tests.support.slack_view import View
from tests.support.slack_world import World

T = TypeVar("T")
_PATIENCE: Final = 5.0


class Slack(Actions):
    """The vendor; use it as an async context manager.

    :ivar world: who is there, and what was written; change it at any time.
    :ivar sockets: the connections of Socket Mode; they can be asked to make way, and broken.
    :ivar url: address of the page.
    """

    def __init__(self, clock: SystemClock | None = None, *, port: int = 0) -> None:
        """Prepare everything; nothing listens yet."""
        world, news = World(clock or SystemClock()), News()
        self.api = Api(world, news)
        super().__init__(world, news, Sockets(world, news), self.api.chat, self.api.views)
        self.api.connect = self.sockets.new_url
        self.url = ""
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def api_url(self) -> str:
        """What takes the place of ``https://slack.com/api/``."""
        return f"{self.url}/api/"

    @property
    def calls(self) -> list[Call]:
        """Every call of the Web API, in order."""
        return self.api.calls

    @property
    def last(self) -> Message | None:
        """The newest message."""
        return self.world.messages[-1] if self.world.messages else None

    @property
    def view(self) -> View | None:
        """The modal that was opened last and is still open."""
        return next((view for view in reversed(self.world.views) if view.is_open), None)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=8 << 20)
        self.api.add_to(app)
        app.router.add_get("/link", self._link)
        Page(self).add_to(app)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.payloads.url = self.url
        self.sockets.url = f"ws{self.url.removeprefix('http')}/link"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for fault in self.api.faults:
            fault.lift()
        await self.sockets.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _link(self, request: web.Request) -> web.StreamResponse:
        answer = await self.api.serve(request, "link", self.sockets.accept)
        return (
            await self.sockets.serve(request) if answer.status == web.HTTPOk.status_code else answer
        )

    def fault(self, method: str, **what: Any) -> Fault:
        """Let the next calls of a method go wrong; the fields are those of :class:`Fault`."""
        fault = Fault(method, **what)
        self.api.faults.append(fault)
        return fault

    def calls_of(self, method: str) -> list[Call]:
        """Return the calls of a method, in order."""
        return [call for call in self.calls if call.method == method]

    async def wait_for(self, predicate: Callable[[], T | None], seconds: float = _PATIENCE) -> T:
        """Return what a predicate says once that is true; it looks after every event.

        :raises TimeoutError: it was not in time.
        """
        return await self.news.wait_for(predicate, seconds)
