"""What waits for a worker: how much of it in each lane, and since when."""

from dataclasses import dataclass
from typing import Final

from app.core.instant import SECOND
from app.core.jobs import Lane
from app.core.principals import Caller, Scope
from app.services.access import require
from app.store.engine import Store

LATE: Final = 60.0
"""Seconds after which waiting work means that workers are gone, or too few."""

WORTH_A_WORD: Final = 3.0
"""Seconds that an approved request waits before its page says so."""

NAMES: Final = {
    Lane.DECIDED: "actions that people approved",
    Lane.ASK: "asking people",
    Lane.ANNOUNCE: "telling programs",
    Lane.ALLOWED: "actions that policies allow",
}
"""The lanes in words."""


@dataclass(frozen=True, slots=True)
class Queued:
    """What waits in a lane.

    :ivar due: jobs that could be worked on now.
    :ivar seconds: how long the oldest of them waits; 0 where there is none.
    """

    lane: Lane
    due: int
    seconds: float

    @property
    def name(self) -> str:
        """The lane in words."""
        return NAMES[self.lane]

    @property
    def late(self) -> bool:
        """Whether it waits for longer than it should."""
        return self.seconds > LATE


@dataclass(frozen=True, slots=True)
class Backlog:
    """Looks at the queues."""

    store: Store

    async def lanes(self, caller: Caller) -> list[Queued]:
        """Return what waits in every lane."""
        require(caller, Scope.AUDIT_READ)
        return await self.look()

    async def look(self) -> list[Queued]:
        """Return the same for those who may see everything."""
        now = self.store.clock.now()
        found = await self.store.read(lambda tx: tx.jobs.waiting())
        return [
            Queued(lane, one.due, 0.0 if one.since is None else (now - one.since) / SECOND)
            for lane, one in found.items()
        ]

    async def place(self, request_id: str) -> int | None:
        """Return a request's place among its agent's that wait; None when it does not wait long.

        Who asks was let see the request before.
        """
        found = await self.store.read(lambda tx: tx.jobs.place(request_id))
        if found is None:
            return None
        since, place = found
        waited = (self.store.clock.now() - since) / SECOND
        return place if waited >= WORTH_A_WORD else None
