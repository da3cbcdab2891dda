"""The digest of what was passed on, reckoned on another thread while the loop goes on."""

import asyncio
import hashlib
from typing import Final

_LITTLE: Final = 65_536
"""Bytes that are not worth keeping for another thread."""

_CROWD: Final = 64
"""Pieces that may wait: small ones take more memory than they have bytes."""

_WORTH: Final = 524_288
"""Bytes that are worth the way there, which takes both threads a while."""

_MOST: Final = 1 << 20
"""Bytes that may wait; whoever adds more waits with them."""


class Summing:
    """A SHA-256 of pieces, in the order in which they are added."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._digest = hashlib.sha256()
        self._waiting: list[bytes | memoryview] = []
        self._size = 0
        self._running: asyncio.Future[None] | None = None

    async def add(self, piece: bytes | memoryview) -> None:
        """Take a piece; wait only where too many do."""
        self._waiting.append(piece)
        self._size += len(piece)
        if self._size > _MOST:
            await self._settled()
        if self._running is not None and not self._running.done():
            return
        if self._size < _LITTLE or len(self._waiting) > _CROWD:
            self._update(self._taken())
        elif self._size >= _WORTH:
            loop = asyncio.get_running_loop()
            self._running = loop.run_in_executor(None, self._update, self._taken())

    async def hexdigest(self) -> str:
        """Return the digest of all that was added."""
        await self._settled()
        self._update(self._taken())
        return self._digest.hexdigest()

    async def _settled(self) -> None:
        if self._running is not None:
            await asyncio.wait([self._running])

    def _taken(self) -> list[bytes | memoryview]:
        taken, self._waiting, self._size = self._waiting, [], 0
        return taken

    def _update(self, pieces: list[bytes | memoryview]) -> None:
        for piece in pieces:
            self._digest.update(piece)
