"""Writes a call on its connection, byte for byte what it says (T1, T43)."""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from app.core.outcome import Content
from workers.executors.http_call import Call
from workers.executors.opening import opening
from workers.executors.wire import Wire

_PIECE: Final = 262_144
"""Bytes of a body that are written before there has to be room again."""

_BODIES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
"""Methods for which an empty body is said, as servers may ask for it (RFC 9110, section 8.6)."""

_METHOD: Final = re.compile(r"[A-Z]+")
_TARGET: Final = re.compile(r"/[!\"$-~]*")

Lines = tuple[tuple[str, str], ...]


class ContentChanged(Exception):
    """The bytes are not those of the digest; the call is left incomplete."""


def lines_of(call: Call) -> Lines:
    """Return the header lines but for the host, with what an upgrade or a length adds."""
    lines = (*call.headers, *opening()) if call.upgrade else call.headers
    size = len(call.body) if call.content is None else call.content.size
    if size or call.method in _BODIES:
        return (*lines, ("Content-Length", str(size)))
    return lines


def head_of(call: Call, lines: Lines) -> bytes:
    """Return the head.

    :raises ValueError: it would be read as something else than it says.
    """
    if not _METHOD.fullmatch(call.method) or not _TARGET.fullmatch(call.target):
        message = "the method or the target cannot be written"
        raise ValueError(message)
    fields = "".join([f"{name}: {value}\r\n" for name, value in lines])
    text = f"{call.method} {call.target} HTTP/1.1\r\nHost: {call.authority}\r\n{fields}\r\n"
    ends = len(lines) + 3
    if text.count("\r") != ends or text.count("\n") != ends or "\0" in text:
        message = "a header line cannot be written"
        raise ValueError(message)
    return text.encode()


def is_small(call: Call) -> bool:
    """Whether the body is written together with the head."""
    return call.content is None and len(call.body) <= _PIECE


@asynccontextmanager
async def body_leaving(call: Call, wire: Wire) -> AsyncGenerator[None]:
    """Write a large body while its answer is read; where that is first, the connection ends.

    :raises ContentChanged: what had left by then was the beginning of another body.
    """
    try:
        async with asyncio.TaskGroup() as group:
            body = group.create_task(_write_body(call, wire))
            try:
                yield
            except BaseException:
                body.cancel()
                raise
            finally:
                if not body.done():
                    wire.abort()
    except ExceptionGroup as failed:  # the reading's: the writing returns its own
        raise failed.exceptions[0] from None
    if changed := body.result():
        raise changed


async def _write_body(call: Call, wire: Wire) -> ContentChanged | None:
    """Write a body as there is room; the connection ends where that fails.

    Its end leaves only if the whole is what was approved. Where nobody takes the rest, that is
    looked at all the same, and returned if it is not.
    """
    try:
        async for piece in _pieces(call):
            if wire.alive:
                wire.write(piece)
                await wire.drain()
            elif call.content is None:
                return None
    except ContentChanged as error:
        wire.break_off(error)
        return error
    except Exception as error:  # noqa: BLE001 - told to who reads the answer
        wire.break_off(error)
    return None


async def _pieces(call: Call) -> AsyncIterator[bytes | memoryview]:
    if call.content is None:
        whole = memoryview(call.body)
        for at in range(0, len(whole), _PIECE):
            yield whole[at : at + _PIECE]
        return
    async for piece in verified(call.content):
        yield piece


async def verified(content: Content) -> AsyncIterator[bytes]:
    """Yield the bytes, the last ones once the digest of all is known to be right.

    :raises ContentChanged: it is not.
    """
    digest, size, held = hashlib.sha256(), 0, b""
    async for piece in content.pieces():
        if not piece:
            continue
        digest.update(piece)
        size += len(piece)
        if size > content.size:
            raise ContentChanged
        if held:
            yield held
        held = piece
    if size != content.size or digest.hexdigest() != content.sha256:
        raise ContentChanged
    if held:
        yield held
