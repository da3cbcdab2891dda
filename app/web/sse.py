"""Server-sent events, as plain ASGI (WHATWG HTML, section 9.2)."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.core.errors import AssentryError, Forbidden, Unauthenticated
from app.core.principals import Caller
from app.core.principals import Scope as Right
from app.services.access import require
from app.web.deps import caller_of, identify, services_of, session_of
from app.web.filters import bare
from app.web.views import dump, render_whole
from app.web.waiters import waiter

HEARTBEAT: Final = 15.0
"""Seconds between comments that keep the connection open."""

log = structlog.get_logger()

_START: Final = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
    ],
}

Source = AsyncGenerator[bytes, None]


class EventStream(Response):
    """Sends what a source yields until it ends or the client is gone."""

    def __init__(self, request: Request, source: Source, caller: Caller) -> None:
        """Stream ``source`` to the caller of a request."""
        self._request = request
        self._source = source
        self._caller = caller
        self._most = services_of(request).settings.max_waiters_per_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Serve the stream."""
        with waiter(self._caller, self._most):
            await send({**_START, "headers": list(_START["headers"])})  # pyright: ignore[reportArgumentType]
            await _until_gone(self._pump(send), receive)

    async def _pump(self, send: Send) -> None:
        """Send what the source yields, and a comment whenever it is silent for a while."""
        await send({"type": "http.response.body", "body": b": here\n\n", "more_body": True})
        async with aclosing(self._source) as source, asyncio.TaskGroup() as group:
            coming = group.create_task(_next(source))
            try:
                while (data := await self._heard(coming)) is not None:
                    if data:
                        coming = group.create_task(_next(source))
                    part = data or b": still here\n\n"
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            finally:
                coming.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _heard(self, coming: "asyncio.Task[bytes | None]") -> bytes | None:
        """Return what came, nothing after a silence, or None at the end.

        It also ends for a caller whose key or session is over meanwhile.
        """
        done, _ = await asyncio.wait({coming}, timeout=HEARTBEAT)
        data = coming.result() if done else b""
        try:
            await identify(self._request)
        except (Unauthenticated, Forbidden):
            return None
        return data


async def _until_gone(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Run until the work ends or the client disconnects."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async with asyncio.TaskGroup() as group:
        tasks = {group.create_task(work), group.create_task(watch())}
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


async def _next(source: Source) -> bytes | None:
    try:
        return await anext(source, None)
    except AssentryError as error:
        log.info("stream_ended", code=error.code)
        return None


def event(name: str, data: bytes, number: int | None = None) -> bytes:
    """Return one event."""
    head = b"" if number is None else f"id: {number}\n".encode()
    return head + b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


async def request_events(request: Request) -> Response:
    """Follow one request until it is final."""
    bare(request)
    caller = await caller_of(request)
    services = services_of(request)
    request_id = request.path_params["request_id"]
    await services.requests.get(caller, request_id)

    async def source() -> Source:
        version = 0
        while True:
            found = await services.feed.changes(caller, request_id, version)
            version = found.version
            calls = await services.requests.calls(caller, found)
            yield event("request", render_whole(found, calls), version)
            if found.final:
                return

    return EventStream(request, source(), caller)


def _check_follower(caller: Caller) -> None:
    """Refuse before the stream begins what ``feed.follow`` would refuse within it."""
    require(caller, Right.REQUEST_READ)
    if caller.person is None:
        message = "only people follow everything"
        raise Forbidden(message)


def followed(
    who: Callable[[Request], Awaitable[Caller]],
) -> Callable[[Request], Awaitable[Response]]:
    """Return the door at which people follow everything."""

    async def follow(request: Request) -> Response:
        bare(request)
        caller = await who(request)
        services = services_of(request)
        _check_follower(caller)
        changes = services.feed.follow(caller)

        async def source() -> Source:
            async for change in changes:
                if change is None:
                    yield event("missed", b"{}")
                elif change[0] != "store":
                    yield event("change", dump({"kind": change[0], "id": change[1]}))

        return EventStream(request, source(), caller)

    return follow


api_events = followed(caller_of)
page_events = followed(session_of)
