"""Timed steps: one query for what is due, then a step for each. Correctness is in the step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from app.core import events as ev
from app.core.audit import SYSTEM
from app.core.errors import IllegalTransition
from app.core.instant import SECOND, Instant, plus
from app.core.lifecycle import step
from app.core.request import Status
from app.services import rates
from app.services.leases import lose
from app.services.notices import Notices
from app.settings import Settings
from app.store.engine import Store
from app.store.tx import Tx

BATCH: Final = 200
"""Most requests that one unit of work steps."""

_ROUNDS: Final = 50
_RATE_MINUTES: Final = 10
_ORPHAN_SECONDS: Final = 3600
_FAILURE_SECONDS: Final = 86_400
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sweeps:
    """What time does to requests and to what is kept about them."""

    store: Store
    settings: Settings
    notices: Notices

    async def tick(self) -> int:
        """Expire, lapse and declare lost whatever is due; return how many steps were taken."""
        return (
            await self._sweep("expire", _expire_pending)
            + await self._sweep("escalate", _escalate)
            + await self._sweep("lapse", _expire_approved)
            + await self._sweep("lose", lose)
            + await self.notices.release()
        )

    async def _sweep(self, what: str, act: Callable[[Tx, str, Instant], bool]) -> int:
        taken = 0
        for _ in range(_ROUNDS):
            now = self.store.clock.now()
            due = await self.store.read(lambda tx, now=now: tx.requests.due(what, now, BATCH))
            if not due:
                break
            due.sort()
            steps = await self.store.write(
                lambda tx, due=due: sum(act(tx, name, tx.now) for name in due), long=True
            )
            taken += steps
            if not steps:
                break
        if taken:
            log.info("swept", what=what, steps=taken)
        return taken

    async def housekeeping(self) -> None:
        """Remove what was kept for a time only."""
        await self.store.write(self._forget, long=True)

    def _forget(self, tx: Tx) -> None:
        now = tx.now
        idle = self.settings.session_idle_seconds
        tx.results.drop(now)
        tx.bundles.drop_results(now)
        tx.bodies.forget(plus(now, -_ORPHAN_SECONDS), plus(now, -self.settings.result_retention))
        tx.requests.drop_idempotency(plus(now, -self.settings.idempotency_retention))
        kept = plus(now, -self.settings.delivery_retention)
        tx.deliveries.forget(kept)
        tx.webhooks.forget_events(kept)
        tx.links.forget(kept)
        tx.people.drop_old_sessions(now, plus(now, -idle))
        tx.people.drop_old_failures(plus(now, -_FAILURE_SECONDS))
        tx.agents.drop_calls(now // (60 * SECOND) - _RATE_MINUTES)
        rates.forget(tx)


def _expire_pending(tx: Tx, request_id: str, now: Instant) -> bool:
    return _expire(tx, request_id, now, Status.PENDING)


def _expire_approved(tx: Tx, request_id: str, now: Instant) -> bool:
    return _expire(tx, request_id, now, Status.APPROVED)


def _escalate(tx: Tx, request_id: str, now: Instant) -> bool:
    request = tx.requests.lock(request_id)
    if request is None or request.escalate_at is None or request.escalate_at > now:
        return False
    steps = request.plan.steps
    deny = request.stage < len(steps) and steps[request.stage].deny
    event = ev.Escalate(SYSTEM, seconds=request.plan.after(request.stage + 1), deny=deny)
    try:
        tx.record(step(request, event, now))
    except IllegalTransition:
        return False
    return True


def _expire(tx: Tx, request_id: str, now: Instant, expected: Status) -> bool:
    request = tx.requests.lock(request_id)
    if request is None or request.status is not expected:
        return False
    try:
        transition = step(request, ev.Expire(actor=SYSTEM), now)
    except IllegalTransition:
        return False
    tx.record(transition)
    return True
