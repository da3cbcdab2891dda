"""Bodies that wait with their requests: kept in the database, in chunks, bound by their digest."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from app.clock import Ids
from app.core.action import Detached, HttpAction, unseal
from app.core.errors import NotFound
from app.core.outcome import Content, NotStarted
from app.core.principals import Caller, Scope
from app.core.request import Request
from app.services.access import require
from app.store.engine import Store

CHUNK: Final = 524_288
"""Bytes of one row, and of one unit of work that writes it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The bytes of a stored body."""

    store: Store
    body_id: str
    body: Detached

    @property
    def sha256(self) -> str:
        """The digest that was approved, in hex."""
        return self.body.sha256

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self.body.size

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the bytes in order."""
        place = 0
        while True:
            piece = await self.store.read(
                lambda tx, place=place: tx.bodies.chunk(self.body_id, place)
            )
            if piece is None:
                return
            yield piece
            place += 1


@dataclass(frozen=True, slots=True)
class Bodies:
    """What is kept of large bodies until their requests are over."""

    store: Store
    ids: Ids

    async def keep(self, content: Content) -> str:
        """Write a body and return its id; nobody's until a request is linked to it."""
        body_id = self.ids.new("bdy")
        body = Detached(content.sha256, content.size)
        await self.store.write(lambda tx: tx.bodies.add(body_id, body))
        place, batch = 0, bytearray()
        async for piece in content.pieces():
            batch += piece
            while len(batch) >= CHUNK:
                await self._put(body_id, place, bytes(batch[:CHUNK]))
                del batch[:CHUNK]
                place += 1
        if batch:
            await self._put(body_id, place, bytes(batch))
        return body_id

    async def release(self, body_id: str) -> None:
        """Remove a body again that no request was linked to; one that is linked stays."""
        await self.store.write(lambda tx: tx.bodies.drop(body_id))

    async def _put(self, body_id: str, place: int, data: bytes) -> None:
        await self.store.write(lambda tx: tx.bodies.add_chunk(body_id, place, data))

    async def checked(self, request_id: str, body: Detached) -> Content:
        """Return a request's body, if it is still what was approved, to the byte (T1).

        :raises NotStarted: it is gone, or was changed.
        """
        stored = await self._stored(request_id, body)
        if stored is None:
            code, detail = "body_gone", "The body is not stored any more."
            raise NotStarted(code, detail, retryable=False)
        digest, size = hashlib.sha256(), 0
        async for piece in stored.pieces():
            digest.update(piece)
            size += len(piece)
        if (digest.hexdigest(), size) != (body.sha256, body.size):
            code, detail = "payload_changed", "The stored body is not the one that was submitted."
            raise NotStarted(code, detail, retryable=False)
        return stored

    async def download(self, caller: Caller, request: Request) -> Content:
        """Return a request's body for somebody who may read requests.

        :raises NotFound: it has none, or none any more.
        """
        require(caller, Scope.REQUEST_READ)
        action = unseal(request.payload).action
        detached = action.detached if isinstance(action, HttpAction) else None
        if detached is None or hashlib.sha256(request.payload).hexdigest() != request.digest:
            message = "this request has no body that is kept apart"
            raise NotFound(message)
        try:
            return await self.checked(request.id, detached)
        except NotStarted as problem:
            raise NotFound(problem.detail) from None

    async def _stored(self, request_id: str, body: Detached) -> Stored | None:
        body_id = await self.store.read(lambda tx: tx.bodies.of_request(request_id))
        return None if body_id is None else Stored(self.store, body_id, body)
