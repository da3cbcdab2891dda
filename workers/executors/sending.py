"""Sends a body that is kept apart, and lets its end go out only if it is what was approved (T1)."""

import hashlib
from collections.abc import AsyncIterator

from app.core.outcome import Content


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
