"""Calls as they came, and trouble on request: limits, errors, silence, broken connections."""

import asyncio
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aiohttp import web

from tests.support.discord_message import Attachment
from tests.support.discord_people import JSON

T = TypeVar("T")

LIMIT: Final = 50
"""Requests that a bucket holds; it never runs dry by itself."""

_WORDS: Final = {
    500: "500: Internal Server Error",
    502: "502: Bad Gateway",
    503: "503: Unavailable",
}


class News:
    """Tells those who wait that something may have happened."""

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self._condition = asyncio.Condition()

    async def tell(self) -> None:
        """Let everyone who waits look again."""
        async with self._condition:
            self._condition.notify_all()

    async def wait_for(self, predicate: Callable[[], T], seconds: float) -> T:
        """Return what a predicate says once that is true.

        :raises TimeoutError: it was not in time.
        """
        async with asyncio.timeout(seconds), self._condition:
            return await self._condition.wait_for(predicate)


@dataclass(eq=False)
class Call:
    """A request of the REST interface.

    :ivar route: such as ``POST /channels/{channel_id}/messages``.
    :ivar ids: what the path says, by name.
    :ivar status: what was answered; None while it waits, or when the connection was dropped.
    :ivar odd: what was wrong with a body of another shape than documented; it got a 400.
    """

    route: str
    path: str
    ids: dict[str, str]
    query: dict[str, str]
    headers: dict[str, str]
    body: Any = None
    files: list[Attachment] = field(default_factory=list[Attachment])
    status: int | None = None
    answer: object = None
    odd: str = ""

    def id(self, name: str) -> int:
        """Return a number of the path; what is none becomes 0, which nothing has."""
        text = self.ids[name]
        return int(text) if text.isdecimal() else 0

    @property
    def json(self) -> JSON:
        """The body, where it is an object."""
        return self.body if isinstance(self.body, dict) else {}


@dataclass(eq=False)
class Fault:
    """What goes wrong with the next calls of a route.

    :ivar route: such as ``POST /channels/{channel_id}/messages``, the same with a real id in it,
        or ``*`` for every call.
    :ivar left: how many calls it still befalls, None for all.
    :ivar status: the answer's status; None lets the call through, after ``hang`` and ``lost``.
    :ivar text: what is answered instead of JSON, as if it were JSON.
    :ivar hang: whether the call waits until ``release`` is set.
    :ivar lost: ``before`` drops the connection unheard, ``after`` when the work is done.
    :ivar scope: of a 429: ``user``, ``global``, ``shared``, or ``cloudflare`` (no JSON).
    :ivar hits: how many calls it befell.
    """

    route: str
    left: int | None = 1
    status: int | None = None
    text: str | None = None
    hang: bool = False
    lost: str = ""
    retry_after: float = 0.01
    scope: str = "user"
    hits: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)

    def befalls(self, call: Call) -> bool:
        """Return whether it befalls a call now, and count it."""
        concrete = f"{call.route.partition(' ')[0]} {call.path}"
        if self.left == 0 or self.route not in {"*", call.route, concrete}:
            return False
        self.hits += 1
        self.left = None if self.left is None else self.left - 1
        return True

    def lift(self) -> None:
        """Let everything work again, what hangs too."""
        self.left = 0
        self.release.set()

    def answer(self, headers: dict[str, str]) -> web.Response | None:
        """Return the answer that takes the place of the real one, if any does.

        :param headers: those of the route's bucket.
        """
        if self.text is not None:
            return _typed(self.status or 200, self.text.encode(), headers)
        if self.status is None:
            return None
        if self.status != 429:
            body: JSON = {"message": _WORDS.get(self.status, str(self.status)), "code": 0}
            return reply(self.status, body, headers)
        if self.scope == "cloudflare":
            text = "<html><title>Access denied | discord.com used Cloudflare</title></html>"
            return web.Response(status=429, text=text, content_type="text/html")
        return reply(429, self._body(), self._limited(headers))

    def _body(self) -> JSON:
        what = "The resource is" if self.scope == "shared" else "You are"
        return {
            "message": f"{what} being rate limited.",
            "retry_after": self.retry_after,
            "global": self.scope == "global",
        }

    def _limited(self, headers: dict[str, str]) -> dict[str, str]:
        common = {
            "Retry-After": str(math.ceil(self.retry_after)),
            "Via": "1.1 google",
            "X-RateLimit-Scope": self.scope,
        }
        if self.scope == "global":
            return common | {"X-RateLimit-Global": "true"}
        remaining = str(LIMIT - 1) if self.scope == "shared" else "0"
        mine = {
            "X-RateLimit-Remaining": remaining,
            "X-RateLimit-Reset-After": str(self.retry_after),
        }
        return headers | common | mine


def bucket(route: str, now: float) -> dict[str, str]:
    """Return the rate-limit headers of a route's bucket.

    :param now: seconds since 1970.
    """
    return {
        "X-RateLimit-Limit": str(LIMIT),
        "X-RateLimit-Remaining": str(LIMIT - 1),
        "X-RateLimit-Reset": f"{now + 1:.3f}",
        "X-RateLimit-Reset-After": "1.000",
        "X-RateLimit-Bucket": hashlib.sha256(route.encode()).hexdigest()[:32],
    }


def reply(status: int, body: object, headers: dict[str, str] | None = None) -> web.Response:
    """Return an answer with exactly the content type that discord.py insists on."""
    if body is None:
        return web.Response(status=status, headers=headers)
    return _typed(status, json.dumps(body, ensure_ascii=False).encode(), headers)


def _typed(status: int, data: bytes, headers: dict[str, str] | None) -> web.Response:
    return web.Response(status=status, body=data, content_type="application/json", headers=headers)


async def read_body(
    request: web.Request, new_id: Callable[[], int]
) -> tuple[Any, list[Attachment]]:
    """Return a request's JSON and its files.

    :raises ValueError: the body is no JSON.
    """
    if not request.content_type.startswith("multipart/"):
        data = await request.read()
        if data and request.content_type != "application/json":
            raise ValueError(request.content_type)
        return (json.loads(data) if data else None), []
    form = await request.post()
    body: Any = json.loads(str(form.get("payload_json") or "{}"))
    files = [
        Attachment(new_id(), part.filename, part.content_type, part.file.read())
        for part in form.values()
        if isinstance(part, web.FileField)
    ]
    return body, files
