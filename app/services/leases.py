"""Keeps the leases of what runs long: a stream, a large body (EXE-2)."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from app.core.errors import AssentryError
from app.core.instant import plus
from app.core.request import Request
from app.store.engine import Store
from app.store.tx import Tx

log = structlog.get_logger()


@dataclass(slots=True)
class _Held:
    """A lease of this process; renewed from the second look on."""

    request: Request
    lost: Callable[[], None]
    seconds: float
    seen: bool = False


@dataclass(frozen=True, slots=True)
class Leases:
    """The leases of this process.

    :ivar margin: seconds that every lease has at least; a third of it is between two looks.
    """

    store: Store
    margin: float
    _held: dict[str, _Held] = field(default_factory=dict[str, _Held])

    @contextmanager
    def keeping(
        self, request: Request, seconds: float, lost: Callable[[], None]
    ) -> Generator[None, None, None]:
        """Keep the lease of a claimed request meanwhile.

        :param seconds: how long it shall last from each renewal.
        :param lost: called when it cannot be kept: somebody else may hold the request.
        """
        held = self._held[request.id] = _Held(request, lost, seconds)
        try:
            yield
        finally:
            if self._held.get(request.id) is held:
                del self._held[request.id]

    async def run(self) -> None:
        """Renew what is held, for ever."""
        while True:
            await asyncio.sleep(self.margin / 3)
            try:
                await self.renew()
            except AssentryError as error:
                log.warning("leases_not_renewed", code=error.code)

    async def renew(self) -> None:
        """Renew the leases that were held at the last look, too; tell the holders of lost ones."""
        known = [held for held in self._held.values() if held.seen]
        for held in self._held.values():
            held.seen = True
        if not known:
            return
        for held in await self.store.write(lambda tx: _renewed(tx, known)):
            log.warning("lease_lost", request_id=held.request.id)
            held.lost()


def _renewed(tx: Tx, known: list[_Held]) -> list[_Held]:
    """Renew leases, and return those that are not this process's any more."""
    return [
        held
        for held in sorted(known, key=lambda held: held.request.id)
        if not tx.requests.renew(
            held.request.id, held.request.fence, tx.now, plus(tx.now, held.seconds)
        )
    ]
