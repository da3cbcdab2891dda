"""The caller's end of an answer that is passed on while it comes (GW-1)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from starlette.types import Receive, Send

REQUEST_ID: Final = b"x-assentry-request"
"""Header of every answer of the gateway: which request the call became."""

_OURS: Final = frozenset({"date", REQUEST_ID.decode()})

WATCH: Final = 0.25
"""Seconds after which the caller is watched: most answers are there by then, under load too."""

T = TypeVar("T")
Lines = tuple[tuple[str, str], ...]


def nothing(*_: str) -> None:
    """There is nothing to end."""


class CallerRelay:
    """Writes an answer to the caller as it comes; back-pressure is the server's own.

    The last piece of a body whose length is known waits for :meth:`end`: by then the outcome is
    on record, so that no complete answer is without one.

    :ivar begun: the head was written.
    :ivar hang_up: ends the exchange with the upstream; set by who carries it out.
    """

    def __init__(self, send: Send, request_id: str) -> None:
        """Write to a caller, whose call became the given request."""
        self._send = send
        self._request_id = request_id
        self._left: int | None = None
        self._last: bytes | memoryview = b""
        self.begun = False
        self.hang_up: Callable[..., None] = nothing

    async def begin(self, status: int, headers: Lines, length: int | None) -> None:
        """Write the head; ``length`` is the body's, where that is sure."""
        lines = encoded(headers, self._request_id)
        if length is not None:
            lines.append((b"content-length", str(length).encode()))
        self._left = length
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": lines})

    async def piece(self, data: bytes | memoryview) -> None:
        """Write a piece, unless it is the last one."""
        if self._left is not None:
            self._left -= len(data)
            if self._left <= 0:
                self._last = data
                return
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """Write what is left, and the end."""
        await self._send({"type": "http.response.body", "body": self._last, "more_body": False})


def encoded(headers: Lines, request_id: str) -> list[tuple[bytes, bytes]]:
    """Return the lines of an upstream's head, with the request's id.

    Our own server says the date (RFC 9110, section 6.6.1), and we alone which request it was.
    """
    lines = [(name.encode("latin-1"), value.encode())
             for name, value in headers if name.lower() not in _OURS]  # fmt: skip
    return [*lines, (REQUEST_ID, request_id.encode())]


async def watched(receive: Receive, gone: Callable[[], None], work: Awaitable[T]) -> T:
    """Await work; call ``gone`` when the caller hangs up meanwhile.

    Its body was read to the end.
    """
    tasks: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:
        timer = asyncio.get_running_loop().call_later(
            WATCH, lambda: tasks.append(group.create_task(_until_gone(receive, gone)))
        )
        try:
            return await work
        finally:
            timer.cancel()
            for task in tasks:
                task.cancel()


async def _until_gone(receive: Receive, gone: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone()
