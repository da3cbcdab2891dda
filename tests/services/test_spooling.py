"""Large bodies in files without a name (GW-1)."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.core.call_errors import NoUploadRoom, UploadsFull
from app.services.spooling import Room, Share, spool

pytestmark = pytest.mark.requirement("GW-1")

DATA = bytes(range(256)) * 10_000


def share(folder: Path, agent_id: str = "agt_1") -> Share:
    return Room(folder, 4 << 20, 6 << 20).share(agent_id)


def _left(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def _pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for place in range(0, len(data), size):
        yield data[place : place + size]


@pytest.mark.parametrize("size", [1_000, 3_000_000])
async def test_a_body_comes_back_as_it_went_in(tmp_path: Path, size: int) -> None:
    held = await spool(DATA[:100], _pieces(DATA[100:], size), share(tmp_path))
    assert (held.size, held.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
    for _ in range(2):
        assert b"".join([piece async for piece in held.pieces()]) == DATA
    assert not _left(tmp_path)
    assert os.fstat(held.file.fileno()).st_mode & 0o077 == 0
    held.close()


async def test_a_caller_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await spool(b"", broken(), share(tmp_path))
    assert not _left(tmp_path)


async def test_each_agent_has_a_share_and_gets_it_back(tmp_path: Path) -> None:
    room = Room(tmp_path, 4 << 20, 6 << 20)
    held = await spool(DATA, _pieces(b"", 1), room.share("agt_1"))
    with pytest.raises(UploadsFull):
        await spool(b"", _pieces(DATA, 1 << 20), room.share("agt_1"))
    other = await spool(DATA, _pieces(b"", 1), room.share("agt_2"))
    with pytest.raises(NoUploadRoom):
        await spool(DATA, _pieces(b"", 1), room.share("agt_3"))
    assert not _left(tmp_path)
    for _ in range(2):
        held.close()
    again = await spool(DATA, _pieces(b"", 1), room.share("agt_1"))
    for one in (again, other):
        one.close()
    full = room.share("agt_1")
    full.grow(4 << 20)
    full.grow(1)
    with pytest.raises(UploadsFull):
        full.grow((4 << 20) + 1)
    full.close()


async def test_the_disk_is_not_filled(tmp_path: Path) -> None:
    with pytest.raises(NoUploadRoom):
        Room(tmp_path, 1 << 62, 1 << 62).share("agt_1").grow(1 << 60)
