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
from app.core.targets import Target
from app.store.engine import Store
from app.store.tx import Tx

_LOST: Final = '{"code":"worker_lost","detail":"The worker did not report back in time."}'

LEASE_LOST: Final = "lease_lost"
"""Why something shall end whose lease is not this process's any more."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Held:
    """A lease of this process; renewed from the second look on."""

    request: Request
    end: Callable[[str], None]
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
        self, request: Request, seconds: float, end: Callable[[str], None]
    ) -> Generator[None, None, None]:
        """Keep the lease of a claimed request meanwhile.

        :param seconds: how long it shall last from each renewal.
        :param end: called with a code when it shall end: somebody else may hold the request
            (:data:`LEASE_LOST`), or who asked was stopped meanwhile.
        """
        held = self._held[request.id] = _Held(request, end, seconds)
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
        """Renew the leases that were held at the last look, too; tell whose work shall end."""
        known = [held for held in self._held.values() if held.seen]
        for held in self._held.values():
            held.seen = True
        if not known:
            return
        for held, code in await self.store.write(lambda tx: _renewed(tx, known)):
            if code == LEASE_LOST:
                log.warning("lease_lost", request_id=held.request.id)
            held.end(code)


def _renewed(tx: Tx, known: list[_Held]) -> list[tuple[_Held, str]]:
    """Renew leases, and return what shall end, and why."""
    looked = ((held, _look(tx, held)) for held in sorted(known, key=lambda one: one.request.id))
    return [(held, code) for held, code in looked if code]


def _look(tx: Tx, held: _Held) -> str:
    """Renew a lease, and return why its holder shall end, if so."""
    request = held.request
    if not tx.requests.renew(request.id, request.fence, tx.now, plus(tx.now, held.seconds)):
        return LEASE_LOST
    try:
        verify_standing(tx, request)
    except Refusal as refusal:
        return refusal.code
    return ""


def verify_standing(tx: Tx, request: Request) -> Target:
    """Return a request's target, if it and who asked are still let.

    :raises Refusal: one of them was stopped.
    """
    verify_parties(tx.agents.get(request.agent_id), tx.agents.key(request.key_id), tx.now)
    target = tx.targets.get(request.target_id or "")
    if target is None or not target.enabled:
        raise Refusal("target_disabled", "The target is gone or switched off.")
    return target


def mark_held(tx: Tx, request: Request, revision: int) -> bool | Refusal:
    """Mark a request as sent; a refusal is returned, for a raised one spoils the whole group.

    :param revision: of the target, as it was when the request was claimed.
    """
    try:
        target = verify_standing(tx, request)
    except Refusal as refusal:
        return refusal
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
