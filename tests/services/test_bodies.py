"""Bodies that wait with their requests, in chunks of the database, on both engines."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.action import Detached
from app.core.instant import plus
from app.core.outcome import NotStarted
from app.services.bodies import CHUNK
from tests.support.world import FakeClock, World, world

pytestmark = pytest.mark.requirement("GW-2", "T1")

DATA = bytes(range(256)) * (CHUNK // 256 * 2) + b"rest"


@dataclass(frozen=True)
class Held:
    """A body at hand, in pieces that fit no chunk."""

    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def size(self) -> int:
        return len(self.data)

    async def pieces(self) -> AsyncIterator[bytes]:
        for place in range(0, len(self.data), 100_003):
            yield self.data[place : place + 100_003]


BODY = Detached(Held(DATA).sha256, len(DATA))


@pytest.fixture
async def there(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    """A small installation whose clock stands still."""
    async with world(database_url, tmp_path, clock=FakeClock()) as opened:
        yield opened


async def test_a_body_is_kept_linked_once_and_read_back(there: World) -> None:
    bodies, store, request = there.services.bodies, there.services.store, await there.ask()
    name = await bodies.keep(Held(DATA))
    other = Detached("0" * 64, len(DATA))
    assert not await store.write(lambda tx: tx.bodies.link(name, request.id, other))
    assert await store.write(lambda tx: tx.bodies.link(name, request.id, BODY))
    assert not await store.write(lambda tx: tx.bodies.link(name, request.id, BODY))
    stored = await bodies.checked(request.id, BODY)
    assert b"".join([piece async for piece in stored.pieces()]) == DATA
    with pytest.raises(NotStarted) as caught:
        await bodies.checked(request.id, other)
    assert (caught.value.code, caught.value.retryable) == ("payload_changed", False)


async def test_what_was_never_asked_and_what_is_over_is_swept(there: World) -> None:
    bodies, store, request = there.services.bodies, there.services.store, await there.ask()
    orphan, linked = await bodies.keep(Held(b"one")), await bodies.keep(Held(DATA))
    await store.write(lambda tx: tx.bodies.link(linked, request.id, BODY))
    assert await store.write(lambda tx: tx.bodies.forget(plus(tx.now, 1), tx.now)) == 1
    assert await store.read(lambda tx: tx.bodies.chunk(orphan, 0)) is None
    assert await store.read(lambda tx: tx.bodies.chunk(linked, 0))
    await there.services.decisions.cancel(there.robot, request.id)
    assert await store.write(lambda tx: tx.bodies.forget(plus(tx.now, 1), tx.now)) == 1
    with pytest.raises(NotStarted) as caught:
        await bodies.checked(request.id, BODY)
    assert caught.value.code == "body_gone"


async def test_one_that_nobody_asked_for_is_removed_again(there: World) -> None:
    bodies, store, request = there.services.bodies, there.services.store, await there.ask()
    orphan, linked = await bodies.keep(Held(b"one")), await bodies.keep(Held(DATA))
    await store.write(lambda tx: tx.bodies.link(linked, request.id, BODY))
    for name in (orphan, linked):
        await bodies.release(name)
    assert await store.read(lambda tx: tx.bodies.chunk(orphan, 0)) is None
    assert await store.read(lambda tx: tx.bodies.chunk(linked, 0))


async def test_that_of_an_unknown_outcome_is_kept_as_long_as_results(there: World) -> None:
    bodies, store, request = there.services.bodies, there.services.store, await there.ask()
    linked = await bodies.keep(Held(DATA))
    await store.write(lambda tx: tx.bodies.link(linked, request.id, BODY))
    await store.write(
        lambda tx: tx.query(
            text("UPDATE requests SET status = 'unknown', sent_at = :now WHERE id = :id"
                 ).bindparams(id=request.id, now=tx.now))
    )  # fmt: skip
    assert await store.write(lambda tx: tx.bodies.forget(tx.now, tx.now)) == 0
    assert await store.write(lambda tx: tx.bodies.forget(tx.now, plus(tx.now, 1))) == 1
