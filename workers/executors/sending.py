"""Sends a body that is kept apart, and lets its end go out only if it is what was approved (T1)."""

import hashlib
import io
from collections.abc import AsyncIterator
from typing import Final

from app.core.outcome import Content
from workers.executors.http_call import Call
from workers.executors.opening import opening

_IN_MEMORY: Final = 1 << 20


class ContentChanged(Exception):
    """The bytes are not those of the digest; the call is left incomplete."""


async def verified(content: Content) -> AsyncIterator[bytes]:
    """Yield the bytes, the last ones once the digest of all is known to be right.

    :raises ContentChanged: it is not.
    """
    digest, size, held = hashlib.sha256(), 0, b""
    async for piece in content.pieces():
        digest.update(piece)
        size += len(piece)
        if held:
            yield held
        held = piece
    if size != content.size or digest.hexdigest() != content.sha256:
        raise ContentChanged
    if held:
        yield held


def headers(call: Call) -> tuple[tuple[str, str], ...]:
    """Return the headers, with those of a body that is read while it is sent, or of an upgrade."""
    if call.upgrade:
        return (*call.headers, *opening())
    if call.content is None:
        return call.headers
    return (*call.headers, ("Content-Length", str(call.content.size)))


def payload(call: Call) -> bytes | io.BytesIO | AsyncIterator[bytes] | None:
    """Return the body; large ones as a file, which aiohttp writes in pieces."""
    if call.content is not None:
        return verified(call.content)
    body = call.body
    if not body:
        return None
    return io.BytesIO(body) if len(body) > _IN_MEMORY else body
