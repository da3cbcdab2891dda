"""The upstream of the gateway's benchmark: small answers, large ones, sinks and event streams.

    python -m benchmarks.origin PORT

One asyncio protocol on uvloop, so that it is never the slowest part.
"""

import asyncio
import sys
import time
from typing import Final, cast

import uvloop

SMALL: Final = b'{"id":1,"name":"one","filler":"' + b"x" * 200 + b'"}'
LARGE: Final = 200 << 20
EVENTS: Final = 1.0
"""Seconds between two events of ``/events``."""

_PIECE: Final = bytes(262_144)
_END: Final = b"\r\n\r\n"
_OK: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_STREAM: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


class Origin(asyncio.Protocol):
    """Answers by the path alone."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self.buffer = b""
        self.left = 0
        self.room = asyncio.Event()
        self.room.set()
        self.task: asyncio.Task[None] | None = None

    def pause_writing(self) -> None:
        self.room.clear()

    def resume_writing(self) -> None:
        self.room.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self.room.set()
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        if self.left:
            self.left -= len(data)
            if self.left <= 0:
                self.small()
            return
        self.buffer += data
        while (end := self.buffer.find(_END)) >= 0:
            head, self.buffer = self.buffer[:end].lower(), self.buffer[end + len(_END) :]
            self.answer(head)

    def answer(self, head: bytes) -> None:
        path = head.split(b" ", 2)[1]
        at = head.find(b"content-length:")
        size = 0 if at < 0 else int(head[at + 15 :].split(b"\r", 1)[0])
        if size:
            self.left, self.buffer = size - len(self.buffer), b""
            if self.left <= 0:
                self.small()
        elif path.endswith(b"/large"):
            self.task = asyncio.get_running_loop().create_task(self.large())
        elif path.endswith(b"/events"):
            self.task = asyncio.get_running_loop().create_task(self.events())
        else:
            self.small()

    def small(self) -> None:
        self.left = 0
        self.transport.write(_OK % len(SMALL) + SMALL)

    async def large(self) -> None:
        self.transport.write(_OK % LARGE)
        for _ in range(LARGE // len(_PIECE)):
            await self.room.wait()
            if self.transport.is_closing():
                return
            self.transport.write(_PIECE)

    async def events(self) -> None:
        self.transport.write(_STREAM)
        while not self.transport.is_closing():
            event = b"data: %d\n\n" % time.monotonic_ns()
            self.transport.write(b"%x\r\n%s\r\n" % (len(event), event))
            await asyncio.sleep(EVENTS)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Origin, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
