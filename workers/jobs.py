"""The jobs of transitions as a source of work: claimed, handled, acknowledged or put back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from app.core.instant import Instant
from app.core.jobs import MAX_TRIES, Postponed
from app.store.engine import Store
from app.store.jobs import ClaimedJob
from app.store.tx import Change, Tx
from workers.handlers import HANDLERS, Handling
from workers.loop import named

JOB_LEASE: Final = 10.0
"""Seconds after which a job that was not acknowledged is claimed again."""

_WAKING: Final = frozenset({"job", "store"})
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class JobSource:
    """The jobs that transitions leave behind; the number of tries is the fencing number."""

    store: Store
    services: Handling

    def wakes(self, change: Change) -> bool:
        """Whether a change may have brought a job."""
        return change[0] in _WAKING

    async def next_at(self) -> Instant | None:
        """Return when the next job is due, or None."""
        return await self.store.read(lambda tx: tx.jobs.next_at())

    async def claim(self, most: int) -> Sequence[ClaimedJob]:
        """Take up to ``most`` due jobs."""
        return await self.store.write(lambda tx: tx.jobs.claim(most, JOB_LEASE))

    async def work(self, item: ClaimedJob) -> None:
        """Handle one job."""
        try:
            await HANDLERS[item.kind](self.services, item.request_id)
        except Postponed as later:
            seconds = later.seconds
            await self._report(item, lambda tx: tx.jobs.postpone(item, seconds))
        except Exception as error:
            log.exception(
                "job_failed", kind=item.kind.value, request_id=item.request_id, tries=item.tries,
                dead=item.tries >= MAX_TRIES,
            )  # fmt: skip
            text = named(error)
            await self._report(item, lambda tx: tx.jobs.retry(item, text))
        else:
            await self._report(item, lambda tx: tx.jobs.done(item))

    async def _report(self, job: ClaimedJob, write: Callable[[Tx], object]) -> None:
        """Acknowledge a job, or put it back; when neither can be written its lease ends."""
        try:
            await self.store.write(write)
        except Exception as problem:  # noqa: BLE001 - the loop outlives its database
            log.warning(
                "job_not_acknowledged", kind=job.kind.value, request_id=job.request_id,
                error=named(problem),
            )  # fmt: skip
