"""The jobs of a lane as a source of work: claimed, handled, acknowledged or put back."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from app.core.instant import Instant
from app.core.jobs import MAX_TRIES, Lane, Postponed
from app.store.engine import Store
from app.store.jobs import ClaimedJob, Share
from app.store.tx import Change, Tx
from workers.handlers import HANDLERS, Handling
from workers.loop import Report, named

JOB_LEASE: Final = 10.0
"""Seconds after which a job that was not acknowledged is claimed again."""

UNLIMITED: Final = 1 << 20
"""A limit that is none."""

log = structlog.get_logger()


@dataclass(slots=True)
class JobSource:
    """The jobs of one lane; the number of tries is the fencing number.

    :ivar limit: jobs of one agent that may be in work at a time.
    """

    store: Store
    services: Handling
    lane: Lane
    limit: int = UNLIMITED
    _held: Counter[str] = field(default_factory=Counter[str])
    _after: str | None = None

    def wakes(self, change: Change) -> bool:
        """Whether a change may have brought a job to this lane."""
        kind, lane = change
        return kind == "store" or (kind == "job" and lane in (self.lane.value, "-"))

    async def next_at(self) -> Instant | None:
        """Return when the next job is due, or None."""
        return await self.store.read(lambda tx: tx.jobs.next_at(self.lane))

    async def claim(self, most: int) -> Sequence[ClaimedJob]:
        """Take up to ``most`` due jobs, by turns of each agent."""
        share = Share(self.limit, dict(self._held), self._after)
        items = await self.store.write(lambda tx: tx.jobs.take(self.lane, most, JOB_LEASE, share))
        for item in items:
            self._held[item.agent_id] += 1
            self._after = item.agent_id
        return items

    async def work(self, item: ClaimedJob) -> Report:
        """Handle one job; what is returned acknowledges it, or puts it back."""
        try:
            write = await self._handle(item)
        finally:
            self._held[item.agent_id] -= 1
            if not self._held[item.agent_id]:
                del self._held[item.agent_id]
        return lambda: self._report(item, write)

    async def _handle(self, item: ClaimedJob) -> Callable[[Tx], object]:
        try:
            await HANDLERS[item.kind](self.services, item.request_id)
        except Postponed as later:
            seconds = later.seconds
            return lambda tx: tx.jobs.postpone(item, seconds)
        except Exception as error:
            log.exception(
                "job_failed", kind=item.kind.value, request_id=item.request_id, tries=item.tries,
                dead=item.tries >= MAX_TRIES,
            )  # fmt: skip
            text = named(error)
            return lambda tx: tx.jobs.retry(item, text)
        return lambda tx: tx.jobs.done(item)

    async def _report(self, job: ClaimedJob, write: Callable[[Tx], object]) -> None:
        """Acknowledge a job, or put it back; when neither can be written its lease ends."""
        try:
            await self.store.write(write)
        except Exception as problem:  # noqa: BLE001 - the loop outlives its database
            log.warning(
                "job_not_acknowledged", kind=job.kind.value, request_id=job.request_id,
                error=named(problem),
            )  # fmt: skip
