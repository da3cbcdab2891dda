"""The circuit breakers of targets, shared by all processes (LIM-1).

What a breaker is lives in the database; each process keeps a copy of those that are not at rest
and renews it with every change. So a target that works costs nothing, and calls to one whose
breaker is open are refused from memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from app.core.audit import SYSTEM, Actor
from app.core.breaker import (
    Breaker,
    Fuse,
    Report,
    State,
    admit,
    heard,
    report_of_problem,
    report_of_status,
    wait_of,
)
from app.core.errors import NotFound, TargetUnavailable
from app.core.instant import Instant
from app.core.jobs import Postponed
from app.core.outcome import Ambiguous, NotStarted, Outcome
from app.core.principals import Caller, Scope
from app.core.targets import Target
from app.services.access import require
from app.store.engine import Store
from app.store.tx import Change, Tx

_SOON: Final = 1.0
"""Seconds after which a claim asks again that another transaction kept from counting."""

_FAILURES: Final = frozenset({Report.BAD, Report.DOUBT})
_RESTING: Final = Breaker(State.CLOSED, Instant(0))


class Stopped(Postponed):
    """The breaker of the target does not let the call through yet."""


@dataclass(slots=True)
class _Known:
    """The breakers that are not at rest, as last read."""

    breakers: Mapping[str, Breaker] = field(default_factory=dict[str, Breaker])


@dataclass(frozen=True, slots=True)
class Breakers:
    """The breakers of all targets."""

    store: Store
    fuses: dict[str, Fuse] = field(default_factory=dict[str, Fuse])
    _known: _Known = field(default_factory=_Known)

    def learn(self, target: Target) -> None:
        """Keep the settings of a target that a call is about to be bound to."""
        self.fuses[target.id] = target.settings.fuse

    def of(self, target_id: str) -> Breaker:
        """Return the breaker of a target as last read."""
        return self._known.breakers.get(target_id, _RESTING)

    @property
    def open(self) -> Mapping[str, Breaker]:
        """The breakers that are not closed, by target."""
        known = self._known.breakers.items()
        return {name: one for name, one in known if one.state is not State.CLOSED}

    async def refresh(self) -> None:
        """Read the breakers anew."""
        self._known.breakers = await self.store.read(lambda tx: tx.limits.breakers())

    async def forget(self, change: Change | None) -> None:
        """Read them anew when a change says that one may have changed."""
        if change is None or change[0] in ("breaker", "store"):
            await self.refresh()

    # --- calls ---

    def check(self, target_id: str | None) -> None:
        """Refuse a call that a door would carry out now at a target whose breaker is open.

        :raises TargetUnavailable: with the seconds until it may pass.
        """
        breaker = self._known.breakers.get(target_id or "")
        fuse = self.fuses.get(target_id or "")
        if breaker is None or fuse is None:
            return
        if wait := wait_of(breaker, fuse, self.store.clock.now()):
            raise unavailable(wait)

    def look(self, tx: Tx, target_id: str | None) -> None:
        """Do the same with the breaker as it is stored, where this one is known to be open.

        So a call that is one probe too many is refused before anything of it is written.
        """
        self.check(target_id)
        if target_id is None or target_id not in self.open or target_id not in self.fuses:
            return
        breaker = tx.limits.breaker(target_id) or _RESTING
        if wait := wait_of(breaker, self.fuses[target_id], tx.now):
            raise unavailable(wait)

    def admit(self, tx: Tx, target: Target) -> float:
        """Let a call through (0), or return the seconds to wait; the claim's transaction counts.

        Only so many probes pass a half-open breaker, whoever claims them.
        """
        if target.id not in self.open:
            return 0.0
        if not tx.limits.try_hold():
            return _SOON
        before = tx.limits.breaker(target.id)
        if before is None:
            return 0.0
        after, wait = admit(before, target.settings.fuse, tx.now)
        if after != before:
            tx.limits.put_breaker(target.id, after)
            tx.changes.append(("breaker", target.id))
        return wait

    async def answered(self, target: Target, agent_id: str, outcome: Outcome) -> None:
        """Hear of an answer to an agent's call."""
        errors_count = target.settings.breaker_on_errors
        report = report_of_status(outcome.result.status, errors_count=errors_count)
        await self._hear(target, agent_id, report)

    async def failed(self, target: Target, agent_id: str, problem: NotStarted | Ambiguous) -> None:
        """Hear of an agent's call without an answer."""
        await self._hear(target, agent_id, report_of_problem(problem))

    async def _hear(self, target: Target, agent_id: str, report: Report) -> None:
        if not target.settings.breaker_failures:
            return
        if report not in _FAILURES and target.id not in self._known.breakers:
            return
        if await self.store.write(lambda tx: _heard(tx, target, agent_id, report)):
            await self.refresh()

    # --- people ---

    async def close(self, caller: Caller, target_id: str) -> None:
        """Close a breaker now.

        :raises NotFound: there is no such target.
        """
        require(caller, Scope.POLICY_WRITE)
        await self.store.write(lambda tx: _close(tx, caller.actor, target_id))
        await self.refresh()


def unavailable(wait: float) -> TargetUnavailable:
    """Return the refusal of a call at a target whose breaker is open."""
    return TargetUnavailable(retry_after=max(1.0, wait))


def _heard(tx: Tx, target: Target, agent_id: str, report: Report) -> bool:
    tx.limits.hold()
    before = tx.limits.breaker(target.id) or Breaker(State.CLOSED, tx.now)
    after = heard(before, target.settings.fuse, report, tx.now, agent_id)
    if after == before:
        return False
    tx.limits.put_breaker(target.id, after)
    if after.state is before.state:
        tx.changes.append(("breaker", target.id))
        return True
    _note(tx, SYSTEM, target.id, target.name, after)
    return True


def _close(tx: Tx, actor: Actor, target_id: str) -> None:
    target = tx.targets.get(target_id)
    if target is None:
        message = "there is no such target"
        raise NotFound(message)
    tx.limits.hold()
    if tx.limits.breaker(target_id) is None:
        return
    closed = Breaker(State.CLOSED, tx.now)
    tx.limits.put_breaker(target_id, closed)
    _note(tx, actor, target_id, target.name, closed)


def _note(tx: Tx, actor: Actor, target_id: str, name: str, after: Breaker) -> None:
    event = "breaker.closed" if after.state is State.CLOSED else "breaker.opened"
    details = {"target": name, "failures": after.failures}
    tx.note(event, actor, f"breaker:{target_id}", details)
