"""Waiting for a request, and following what changes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Literal

from app.core.errors import Forbidden, Unavailable
from app.core.principals import Caller, Scope
from app.core.request import Request, Status
from app.services.access import require
from app.services.requests import visible
from app.store.engine import Store
from app.store.tx import Change

Until = Literal["final", "decided"]
_KNOWN: Final = 1000
_NEEDED: Final = {
    "request": Scope.REQUEST_READ, "policy": Scope.POLICY_READ, "target": Scope.POLICY_READ,
    "agent": Scope.POLICY_READ, "breaker": Scope.POLICY_READ,
    "credential": Scope.CONNECTION_MANAGE, "webhook": Scope.WEBHOOK_MANAGE,
}  # fmt: skip
"""What it takes to hear of changes of a kind; any other takes an administrator."""


class Looks:
    """Requests that many read at once are read once, as long as nothing was told to change.

    Who looks registered for wake-ups before: a change that comes later wakes it to look again.
    """

    def __init__(self, store: Store) -> None:
        """Look into this store."""
        self._store = store
        self._known: dict[str, tuple[int, asyncio.Future[Request | None]]] = {}

    async def get(self, request_id: str) -> Request | None:
        """Return a request as it was read after the last change that was told."""
        told, known = self._known.get(request_id, (-1, None))
        if known is not None and told == self._store.signals.told:
            if known.done() and not known.cancelled():
                return known.result()
            try:
                return await asyncio.shield(known)
            except asyncio.CancelledError:
                if not known.cancelled():
                    raise
        return await self._read(request_id)

    async def _read(self, request_id: str) -> Request | None:
        if len(self._known) >= _KNOWN:
            self._known.clear()
        coming: asyncio.Future[Request | None] = asyncio.get_running_loop().create_future()
        self._known[request_id] = (self._store.signals.told, coming)
        try:
            found = await self._store.read(lambda tx: tx.requests.get(request_id))
        except BaseException:
            coming.cancel()
            raise
        coming.set_result(found)
        return found


@dataclass(frozen=True, slots=True)
class Feed:
    """Wake-ups for those who wait."""

    store: Store
    looks: Looks

    async def wait(
        self, caller: Caller, request_id: str, seconds: float, until: Until = "final"
    ) -> Request:
        """Return the request once it is decided or final, or as it stands when time is over.

        :raises NotFound: no such request, or another agent's.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            with self.store.signals.waiting(request_id) as changed:
                request = await self._get(caller, request_id)
                late = self.store.signals.ended or loop.time() >= deadline
                if late or reached(request, until):
                    return request
                try:
                    async with asyncio.timeout_at(deadline):
                        await changed
                except TimeoutError:
                    return request

    async def changes(self, caller: Caller, request_id: str, after: int) -> Request:
        """Return the request as soon as its version is above ``after``.

        :raises NotFound: no such request, or another agent's.
        :raises Unavailable: the process stops.
        """
        while True:
            with self.store.signals.waiting(request_id) as changed:
                request = await self._get(caller, request_id)
                if request.version > after:
                    return request
                if self.store.signals.ended:
                    message = "the server stops; connect again"
                    raise Unavailable(message)
                await changed

    async def _get(self, caller: Caller, request_id: str) -> Request:
        require(caller, Scope.REQUEST_READ)
        return visible(caller, await self.looks.get(request_id))

    def end(self) -> None:
        """Let go of everybody who waits or follows: the process stops."""
        self.store.signals.end()

    async def follow(self, caller: Caller) -> AsyncIterator[Change | None]:
        """Yield every change of what the caller may read, as (kind, id); None: some were left out.

        Who signs in, and what becomes of keys and accounts, is for administrators.

        :raises Forbidden: agents follow their own requests one by one.
        """
        require(caller, Scope.REQUEST_READ)
        if caller.person is None:
            message = "only people follow everything"
            raise Forbidden(message)
        with self.store.signals.following(frozenset({"job"})) as queue:
            while not self.store.signals.ended:
                change = await queue.get()
                if change is None or told(caller, change[0]):
                    yield change


def told(caller: Caller, kind: str) -> bool:
    """Whether a caller hears of changes of a kind."""
    return caller.may(_NEEDED.get(kind, Scope.ADMIN))


def reached(request: Request, until: Until) -> bool:
    """Whether a wait for this request is over."""
    if until == "decided":
        return request.status is not Status.PENDING
    return request.final
