"""Server-sent events, as plain ASGI (WHATWG HTML, section 9.2)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.core.principals import Caller
from app.web.deps import caller_of, services_of, session_of
from app.web.filters import once
from app.web.views import dump, render
from app.web.waiters import waiter

HEARTBEAT: Final = 15.0
"""Seconds between comments that keep the connection open."""

_START: Final = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
    ],
}

Source = AsyncIterator[bytes]


class EventStream(Response):
    """Sends what a source yields until it ends or the client is gone."""

    def __init__(self, source: Source, caller: Caller, most: int) -> None:
        """Stream ``source`` for a caller who may hold ``most`` such calls open."""
        self._source = source
        self._caller = caller
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Serve the stream."""
        with waiter(self._caller, self._most):
            await send({**_START, "headers": list(_START["headers"])})  # pyright: ignore[reportArgumentType]
            await _until_gone(self._pump(send), receive)

    async def _pump(self, send: Send) -> None:
        await send({"type": "http.response.body", "body": b": here\n\n", "more_body": True})
        async for data in beating(self._source):
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(work: Awaitable[None], receive: Receive) -> None:
    """Run until the work ends or the client disconnects."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async with asyncio.TaskGroup() as group:
        tasks = {group.create_task(_awaited(work)), group.create_task(watch())}
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def beating(source: Source) -> Source:
    """Yield what the source yields, and a comment whenever it is silent for a while."""
    async with asyncio.TaskGroup() as group:
        coming = group.create_task(_next(source))
        while True:
            done, _ = await asyncio.wait({coming}, timeout=HEARTBEAT)
            if not done:
                yield b": still here\n\n"
                continue
            data = coming.result()
            if data is None:
                return
            yield data
            coming = group.create_task(_next(source))


async def _next(source: Source) -> bytes | None:
    return await anext(source, None)


def event(name: str, data: bytes, number: int | None = None) -> bytes:
    """Return one event."""
    head = b"" if number is None else f"id: {number}\n".encode()
    return head + b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


async def request_events(request: Request) -> Response:
    """Follow one request until it is final."""
    once(request.query_params, ())
    caller = await caller_of(request)
    services = services_of(request)
    request_id = request.path_params["request_id"]
    await services.requests.get(caller, request_id)

    async def source() -> Source:
        version = 0
        while True:
            found = await services.feed.changes(caller, request_id, version)
            version = found.version
            yield event("request", render(found), version)
            if found.final:
                return

    return EventStream(source(), caller, services.settings.max_waiters_per_key)


def followed(
    who: Callable[[Request], Awaitable[Caller]],
) -> Callable[[Request], Awaitable[Response]]:
    """Return the door at which people follow everything."""

    async def follow(request: Request) -> Response:
        once(request.query_params, ())
        caller = await who(request)
        services = services_of(request)
        changes = services.feed.follow(caller)

        async def source() -> Source:
            async for change in changes:
                if change is None:
                    yield event("missed", b"{}")
                elif change[0] != "store":
                    yield event("change", dump({"kind": change[0], "id": change[1]}))

        return EventStream(source(), caller, services.settings.max_waiters_per_key)

    return follow


api_events = followed(caller_of)
page_events = followed(session_of)
