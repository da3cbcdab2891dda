"""The job loop: claim what is due, carry it out a few at a time, acknowledge or put back.

A job is claimed under a lease and its number of tries is the fencing number, so a job whose worker
is gone comes back by itself and a stale worker acknowledges nothing. Whatever a handler or the
database does, the loop goes on.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from app.core.errors import AssentryError
from app.core.instant import SECOND
from app.core.jobs import MAX_TRIES
from app.services.execution import Execution
from app.store.engine import Store
from app.store.jobs import ClaimedJob
from app.store.tx import Change
from workers.handlers import HANDLERS

JOB_LEASE: Final = 10.0
"""Seconds after which a job that was not acknowledged is claimed again."""

POLL_SECONDS: Final = 1.0
"""Longest sleep without looking for due jobs."""

STOP_SECONDS: Final = 20.0
"""How long a graceful stop waits for what is running."""

_SOON: Final = 0.05
"""Seconds to wait when a due job could not be had: another worker, or a clock that differs."""

_WAKING: Final = frozenset({"job", "store"})
"""Kinds of changes that may have brought a job."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Loop:
    """One worker's loop.

    :ivar concurrency: most jobs that are carried out at a time.
    :ivar poll_seconds: longest sleep without looking for due jobs.
    :ivar stop_seconds: how long a graceful stop waits for what is running.
    """

    store: Store
    execution: Execution
    concurrency: int
    poll_seconds: float = POLL_SECONDS
    stop_seconds: float = STOP_SECONDS

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then finish what is running, within a deadline."""
        running: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            with self.store.signals.following() as news:
                while not stop.is_set():
                    jobs, seconds = await self._look(self.concurrency - len(running))
                    for job in jobs:
                        task = group.create_task(self._work(job))
                        running.add(task)
                        task.add_done_callback(running.discard)
                    if not jobs:
                        await self._pause(news, running, stop, seconds)
            await self._drain(running)

    async def _look(self, most: int) -> tuple[list[ClaimedJob], float]:
        """Return up to ``most`` claimed jobs, or none and the seconds until to look again."""
        if most <= 0:
            return [], self.poll_seconds
        try:
            due = await self.store.read(lambda tx: tx.jobs.next_at())
            if due is None:
                return [], self.poll_seconds
            left = (due - self.store.clock.now()) / SECOND
            if left > 0:
                return [], min(left, self.poll_seconds)
            return await self.store.write(lambda tx: tx.jobs.claim(most, JOB_LEASE)), _SOON
        except Exception as error:  # noqa: BLE001 - the loop outlives its database
            log.warning("jobs_unavailable", error=_named(error))
            return [], self.poll_seconds

    async def _pause(
        self,
        news: "asyncio.Queue[Change | None]",
        running: "set[asyncio.Task[None]]",
        stop: asyncio.Event,
        seconds: float,
    ) -> None:
        """Sleep until a request changed, a task ended, it is time to look, or to stop."""
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(_stopped(stop))]
            if len(running) < self.concurrency:
                waits.append(group.create_task(_news(news)))
            await asyncio.wait(
                {*waits, *running}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            for wait in waits:
                wait.cancel()

    async def _work(self, job: ClaimedJob) -> None:
        try:
            await HANDLERS[job.kind](self.execution, job.request_id)
        except Exception as error:
            log.exception(
                "job_failed", kind=job.kind.value, request_id=job.request_id, tries=job.tries,
                dead=job.tries >= MAX_TRIES,
            )  # fmt: skip
            await self._settle(job, _named(error))
        else:
            await self._settle(job, None)

    async def _settle(self, job: ClaimedJob, error: str | None) -> None:
        """Acknowledge a job, or put it back; when neither can be written its lease ends."""
        try:
            if error is None:
                await self.store.write(lambda tx: tx.jobs.done(job))
            else:
                await self.store.write(lambda tx: tx.jobs.retry(job, error))
        except Exception as problem:  # noqa: BLE001 - the loop outlives its database
            log.warning(
                "job_not_acknowledged", kind=job.kind.value, request_id=job.request_id,
                error=_named(problem),
            )  # fmt: skip

    async def _drain(self, running: "set[asyncio.Task[None]]") -> None:
        """Wait for what is running; what is late is left to the end of its lease."""
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=self.stop_seconds)
        if late:
            log.warning("jobs_left_to_their_leases", count=len(late))
        for task in late:
            task.cancel()


def _named(error: Exception) -> str:
    """Return what is kept of an error: our own words, and of others the class alone (T62)."""
    name = type(error).__name__
    return f"{name}: {error.detail}" if isinstance(error, AssentryError) else name


async def _news(news: "asyncio.Queue[Change | None]") -> None:
    """Wait for a change that may have brought a job, and take all that are queued."""
    while (change := await news.get()) is not None and change[0] not in _WAKING:
        pass
    while not news.empty():
        news.get_nowait()


async def _stopped(stop: asyncio.Event) -> None:
    await stop.wait()
