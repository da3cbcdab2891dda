"""A receiver of webhooks over real HTTP: keeps what came, and misbehaves on demand."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Received:
    """One POST that came."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        """The event's id."""
        return self.headers.get("webhook-id", "")


@dataclass
class Receiver:
    """Answers 200 unless told otherwise.

    :ivar answer: status, and headers, for the n-th POST (from 1).
    :ivar hangs: while it is set, nothing is answered.
    """

    answer: Callable[[int], tuple[int, dict[str, str]]] = lambda _number: (200, {})
    log: list[Received] = field(default_factory=list[Received])
    hangs: bool = False
    url: str = ""
    _free: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
        if self._runner is not None:
            await self._runner.cleanup()

    def release(self) -> None:
        """Answer what hangs."""
        self.hangs = False
        self._free.set()

    async def _take(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.log.append(Received(request.path, headers, body))
        number = len(self.log)
        async with self._news:
            self._news.notify_all()
        if self.hangs:
            await self._free.wait()
        status, extra = self.answer(number)
        return web.Response(status=status, headers=extra)

    async def until(self, done: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until something holds, looking after each POST."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(done)

    @property
    def times(self) -> Counter[str]:
        """How often each event came."""
        return Counter(received.id for received in self.log)
