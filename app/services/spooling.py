"""Takes large bodies from the wire into a private file without a name, never into memory."""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from app.core.action import Detached
from app.core.call_errors import NoUploadRoom, UploadsFull

PIECE: Final = 262_144
"""Bytes that are read at a time."""

_BATCH: Final = 1 << 20


_RESERVE: Final = 256 << 20
"""Bytes of the disk that uploads leave free."""

_AGAIN: Final = 10.0


@dataclass(frozen=True, slots=True)
class Room:
    """The room for bodies in files, of which each agent has a share.

    :ivar each: most bytes of one agent at a time.
    :ivar total: most bytes of all.
    """

    folder: Path
    each: int
    total: int
    _held: Counter[str] = field(default_factory=Counter[str])

    def share(self, agent_id: str) -> "Share":
        """Return the room of one body, which has none yet."""
        return Share(self, agent_id)

    def take(self, agent_id: str, size: int) -> None:
        """Take so many bytes more.

        :raises UploadsFull: the agent has no room for them.
        :raises NoUploadRoom: nobody has.
        """
        if self._held[agent_id] + size > self.each:
            raise UploadsFull(retry_after=_AGAIN)
        free = shutil.disk_usage(self.folder).free
        if self._held.total() + size > self.total or free < size + _RESERVE:
            raise NoUploadRoom(retry_after=_AGAIN)
        self._held[agent_id] += size

    def give_back(self, agent_id: str, size: int) -> None:
        """Give so many bytes back."""
        self._held[agent_id] -= size
        if self._held[agent_id] <= 0:
            del self._held[agent_id]


@dataclass(slots=True)
class Share:
    """The room of one body."""

    room: Room
    agent_id: str
    size: int = 0

    def grow(self, size: int) -> None:
        """See that there is room for so many bytes in all; what was taken before counts.

        :raises UploadsFull: the agent has no more.
        :raises NoUploadRoom: nobody has.
        """
        if size > self.size:
            self.room.take(self.agent_id, size - self.size)
            self.size = size

    def close(self) -> None:
        """Give all of it back."""
        if self.size:
            self.room.give_back(self.agent_id, self.size)
            self.size = 0


@dataclass(frozen=True, slots=True)
class Spooled:
    """A body in a file that only this process can reach; it vanishes with :meth:`close`."""

    file: IO[bytes]
    body: Detached
    share: Share

    @property
    def sha256(self) -> str:
        """The digest, in hex."""
        return self.body.sha256

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self.body.size

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the bytes in order."""
        place, number = 0, self.file.fileno()
        while piece := await asyncio.to_thread(os.pread, number, PIECE, place):
            yield piece
            place += len(piece)

    def close(self) -> None:
        """Give the file up, and its room."""
        self.file.close()
        self.share.close()


async def spool(begun: bytes, rest: AsyncIterator[bytes], share: Share) -> Spooled:
    """Write a body to a file of the folder while its digest is taken.

    The file has no name (or loses it at once), is readable by this user alone, and is gone when
    the process ends, however it ends.

    :param begun: what was read of it before.
    :raises UploadsFull: the agent has no room for it.
    :raises NoUploadRoom: nobody has.
    """
    try:
        folder = share.room.folder
        file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - kept open
    except BaseException:
        share.close()
        raise
    try:
        return await _written(file, begun, rest, share)
    except BaseException:
        file.close()
        share.close()
        raise


async def _written(
    file: IO[bytes], begun: bytes, rest: AsyncIterator[bytes], share: Share
) -> Spooled:
    digest, size, batch = hashlib.sha256(), 0, bytearray(begun)

    def write() -> None:
        digest.update(batch)
        view = memoryview(batch)
        while view:
            view = view[file.write(view) :]
        view.release()

    async for piece in rest:
        batch += piece
        if len(batch) >= _BATCH:
            size += len(batch)
            share.grow(size)
            await asyncio.to_thread(write)
            batch = bytearray()
    size += len(batch)
    share.grow(size)
    await asyncio.to_thread(write)
    return Spooled(file, Detached(digest.hexdigest(), size), share)
