"""Large bodies in files without a name (GW-1)."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.services.spooling import spool

pytestmark = pytest.mark.requirement("GW-1")

DATA = bytes(range(256)) * 10_000


def _left(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def _pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for place in range(0, len(data), size):
        yield data[place : place + size]


@pytest.mark.parametrize("size", [1_000, 3_000_000])
async def test_a_body_comes_back_as_it_went_in(tmp_path: Path, size: int) -> None:
    held = await spool(DATA[:100], _pieces(DATA[100:], size), tmp_path)
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
        await spool(b"", broken(), tmp_path)
    assert not _left(tmp_path)
