"""Leases: marked before bytes leave, kept for what runs long (EXE-2), taken from who is gone."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

from app.core import events as ev
from app.core.audit import SYSTEM
from app.core.errors import AssentryError, IllegalTransition
from app.core.execution import Refusal, is_idempotent, verify_parties, verify_payload
from app.core.instant import Instant, plus
from app.core.lifecycle import step
from app.core.request import Request, Status
from app.store.engine import Store
from app.store.tx import Tx

_LOST: Final = '{"code":"worker_lost","detail":"The worker did not report back in time."}'

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


def mark_held(tx: Tx, request: Request, revision: int) -> bool | Refusal:
    """Mark a request as sent; a refusal is returned, for a raised one spoils the whole group.

    :param revision: of the target, as it was when the request was claimed.
    """
    target = tx.targets.get(request.target_id or "")
    try:
        verify_parties(tx.agents.get(request.agent_id), tx.agents.key(request.key_id), tx.now)
    except Refusal as refusal:
        return refusal
    if target is None or not target.enabled:
        return Refusal("target_disabled", "The target is gone or switched off.")
    if target.revision != revision:
        return Refusal("target_changed", "The target was changed since it was looked at.")
    over = request.valid_until is None or tx.now >= request.valid_until
    if request.by_people and over:
        return Refusal("grant_over", "The approval was over before anything was sent.")
    return tx.requests.mark_sent(request.id, request.fence, tx.now)


def lose(tx: Tx, request_id: str, now: Instant) -> bool:
    """Take a request from a holder whose lease is over; False when there is nothing to take."""
    request = tx.requests.lock(request_id)
    if request is None or request.status is not Status.EXECUTING:
        return False
    try:
        submission = verify_payload(request, tx.requests.votes(request_id))
        target = tx.targets.get(request.target_id or "")
        harmless = is_idempotent(submission, target)
    except Refusal:
        harmless = False
    event = ev.Lose(actor=SYSTEM, fence=-1, outcome=_LOST, idempotent=harmless)
    try:
        tx.record(step(request, event, now))
    except IllegalTransition:
        return False
    return True
