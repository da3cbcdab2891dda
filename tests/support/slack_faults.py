"""What goes wrong on demand, what was called, and how one waits for either."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aiohttp import web

from tests.support.slack_people import JSON, Team

T = TypeVar("T")
_LIMITED: Final = 429


class Refused(Exception):
    """A call was answered with ``ok: false``.

    :ivar error: the word, such as ``channel_not_found``.
    """

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.error = error
        self.more = more

    def json(self) -> JSON:
        """Return the answer."""
        return {"ok": False, "error": self.error, **self.more}


class News:
    """Tells those who wait that something happened."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._condition = asyncio.Condition()

    async def tell(self) -> None:
        """Let everybody look again."""
        async with self._condition:
            self._condition.notify_all()

    async def wait_for(self, predicate: Callable[[], T | None], seconds: float) -> T:
        """Return what a predicate says once that is true.

        :raises TimeoutError: it was not in time.
        """
        async with asyncio.timeout(seconds), self._condition:
            said = await self._condition.wait_for(predicate)
        assert said is not None, "the condition waits for something true"
        return said


@dataclass(eq=False)
class Call:
    """One call of the Web API, or a POST to a ``response_url``.

    :ivar method: such as ``chat.postMessage``; ``response_url``, or ``link`` for a WebSocket.
    :ivar team: whose bot token it had; None for the application's token.
    :ivar answer: what was answered; None as long as nothing was.
    :ivar status: the answer's status; None without answer, 0 for a dropped connection.
    """

    method: str
    verb: str
    arguments: JSON
    headers: dict[str, str]
    team: Team | None = None
    answer: JSON | None = None
    status: int | None = None

    def text(self, name: str) -> str:
        """Return an argument as text; the empty text if it is not there."""
        value = self.arguments.get(name)
        return "" if value is None else str(value)

    def flag(self, name: str) -> bool:
        """Return whether an argument is true, in any of the ways to say it."""
        return self.text(name).lower() in {"1", "true"}

    @property
    def bot(self) -> Team:
        """The team of a call with a bot token."""
        assert self.team is not None, "methods for bots are called with a bot token"
        return self.team


@dataclass(eq=False)
class Fault:
    """What goes wrong with the next calls of a method.

    :ivar method: as in :class:`Call`, or ``*`` for every call.
    :ivar count: how many calls it still befalls, None for all until it is lifted.
    :ivar error: answered with ``ok: false``.
    :ivar more: goes with the error, such as ``needed`` and ``provided``.
    :ivar status: answered instead: 429, 500, 503, or any other.
    :ivar text: answered instead, as if it were JSON.
    :ivar hang: nothing is answered until it is lifted.
    :ivar drop: the connection is closed without an answer.
    :ivar after: the work is done before it strikes; only the answer is lost.
    :ivar when: befalls only calls that it is true of.
    :ivar hits: how many calls it befell.
    """

    method: str
    count: int | None = 1
    error: str = ""
    more: JSON = field(default_factory=dict[str, Any])
    status: int | None = None
    text: str | None = None
    hang: bool = False
    drop: bool = False
    after: bool = False
    retry_after: int = 1
    when: Callable[[Call], bool] = lambda _call: True
    hits: int = 0
    lifted: asyncio.Event = field(default_factory=asyncio.Event)

    def befalls(self, call: Call) -> bool:
        """Return whether it befalls a call now, and count it."""
        if self.count == 0 or self.method not in {"*", call.method} or not self.when(call):
            return False
        self.hits += 1
        self.count = None if self.count is None else self.count - 1
        return True

    def lift(self) -> None:
        """Let everything work again, what hangs too."""
        self.count = 0
        self.lifted.set()

    def answer(self) -> web.Response | None:
        """Return the answer that takes the place of the real one, if any does."""
        if self.text is not None:
            return web.Response(
                status=self.status or 200, text=self.text, content_type="application/json"
            )
        if self.error:
            return web.json_response({"ok": False, "error": self.error, **self.more})
        if self.status is None:
            return None
        if self.status == _LIMITED:
            headers = {"Retry-After": str(self.retry_after)}
            return web.json_response(
                {"ok": False, "error": "ratelimited"}, status=_LIMITED, headers=headers
            )
        html = f"<html><body>Error {self.status}: something went wrong on our side</body></html>"
        return web.Response(status=self.status, text=html, content_type="text/html")
