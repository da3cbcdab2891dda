"""The job loop: claim what is due, carry it out a few at a time, acknowledge or put back.

A job is claimed under a lease and its number of tries is the fencing number, so a job whose worker
is gone comes back by itself and a stale worker acknowledges nothing.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from app.core.errors import AssentryError, Unavailable
from app.services.execution import Execution
from app.store.engine import Store
from app.store.jobs import ClaimedJob
from app.store.tx import Change
from workers.handlers import HANDLERS

JOB_LEASE: Final = 60.0
"""Seconds after which a job that was not acknowledged is claimed again."""

POLL_SECONDS: Final = 1.0
"""Longest sleep without looking for due jobs."""

STOP_SECONDS: Final = 20.0
"""How long a graceful stop waits for what is running."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Loop:
    """One worker's loop."""

    store: Store
    execution: Execution
    concurrency: int

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then finish what is running, within a deadline."""
        running: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            with self.store.signals.following() as news:
                while not stop.is_set():
                    for job in await self._claim(self.concurrency - len(running)):
                        task = group.create_task(self._work(job))
                        running.add(task)
                        task.add_done_callback(running.discard)
                    await self._pause(news, running, stop)
            await self._drain(running)

    async def _claim(self, most: int) -> list[ClaimedJob]:
        if most <= 0:
            return []
        try:
            due = await self.store.read(lambda tx: tx.jobs.next_at())
            if due is None or due > self.store.clock.now():
                return []
            return await self.store.write(lambda tx: tx.jobs.claim(most, JOB_LEASE))
        except Unavailable as error:
            log.warning("jobs_unavailable", code=error.code)
            return []

    async def _pause(
        self,
        news: "asyncio.Queue[Change | None]",
        running: "set[asyncio.Task[None]]",
        stop: asyncio.Event,
    ) -> None:
        """Sleep until something changed, a task ended, it is time to look, or to stop."""
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(_stopped(stop))]
            if len(running) < self.concurrency:
                waits.append(group.create_task(_news(news)))
            await asyncio.wait(
                {*waits, *running}, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            for wait in waits:
                wait.cancel()

    async def _work(self, job: ClaimedJob) -> None:
        try:
            await HANDLERS[job.kind](self.execution, job.request_id)
        except (AssentryError, OSError, ValueError, LookupError, TypeError) as error:
            log.exception("job_failed", kind=job.kind.value, request_id=job.request_id)
            await self._settle(job, f"{type(error).__name__}: {error}")
        else:
            await self._settle(job, None)

    async def _settle(self, job: ClaimedJob, error: str | None) -> None:
        try:
            if error is None:
                await self.store.write(lambda tx: tx.jobs.done(job))
            else:
                await self.store.write(lambda tx: tx.jobs.retry(job, error))
        except Unavailable:
            log.warning("job_not_acknowledged", kind=job.kind.value, request_id=job.request_id)

    async def _drain(self, running: "set[asyncio.Task[None]]") -> None:
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=STOP_SECONDS)
        for task in late:
            task.cancel()


async def _news(news: "asyncio.Queue[Change | None]") -> None:
    """Wait for a change, and take all that are queued."""
    await news.get()
    while not news.empty():
        news.get_nowait()


async def _stopped(stop: asyncio.Event) -> None:
    await stop.wait()
