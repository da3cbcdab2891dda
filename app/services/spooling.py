"""Takes large bodies from the wire into a private file without a name, never into memory."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from app.core.action import Detached

PIECE: Final = 262_144
"""Bytes that are read at a time."""

_BATCH: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Spooled:
    """A body in a file that only this process can reach; it vanishes with :meth:`close`."""

    file: IO[bytes]
    body: Detached

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
        """Give the file up."""
        self.file.close()


async def spool(begun: bytes, rest: AsyncIterator[bytes], folder: Path) -> Spooled:
    """Write a body to a file of the folder while its digest is taken.

    The file has no name (or loses it at once), is readable by this user alone, and is gone when
    the process ends, however it ends.

    :param begun: what was read of it before.
    """
    file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - kept open on purpose
    try:
        return await _written(file, begun, rest)
    except BaseException:
        file.close()
        raise


async def _written(file: IO[bytes], begun: bytes, rest: AsyncIterator[bytes]) -> Spooled:
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
            await asyncio.to_thread(write)
            batch = bytearray()
    size += len(batch)
    await asyncio.to_thread(write)
    return Spooled(file, Detached(digest.hexdigest(), size))
