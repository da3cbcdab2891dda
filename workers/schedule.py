"""Ticks in memory: APScheduler calls, the sweeps' SQL is what is correct."""

from collections.abc import Awaitable, Callable

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from app.core.errors import Unavailable
from app.services.access import Access
from app.services.sweeps import Sweeps

log = structlog.get_logger()


def scheduler(sweeps: Sweeps, access: Access, *, tick_seconds: float = 1.0) -> AsyncIOScheduler:
    """Return a scheduler, not yet started, that calls the sweeps."""
    made = AsyncIOScheduler(timezone="UTC")
    every = {
        "tick": (sweeps.tick, tick_seconds),
        "flush_seen": (access.flush_seen, 60.0),
        "housekeeping": (sweeps.housekeeping, 60.0),
    }
    for name, (work, seconds) in every.items():
        made.add_job(
            _guarded(name, work), "interval", seconds=seconds, id=name, coalesce=True,
            max_instances=1, misfire_grace_time=None,
        )  # fmt: skip
    return made


def _guarded(name: str, work: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        try:
            await work()
        except Unavailable as error:
            log.warning("tick_skipped", tick=name, code=error.code)

    return run
