"""Ticks in memory: APScheduler calls, the sweeps' SQL is what is correct."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

TICK_SECONDS: Final = 1.0
"""Seconds between two looks for what has expired, lapsed or was lost."""

KEEP_SECONDS: Final = 60.0
"""Seconds between two rounds of housekeeping, and of writing down when keys were used."""

log = structlog.get_logger()


class Timed(Protocol):
    """What time does to requests and to what is kept about them."""

    async def tick(self) -> int:
        """Expire, lapse and declare lost whatever is due."""
        ...

    async def housekeeping(self) -> None:
        """Remove what was kept for a time only."""
        ...


class Seen(Protocol):
    """What a process remembers of the keys that it saw."""

    async def flush_seen(self) -> None:
        """Write down when keys were last used."""
        ...


def scheduler(
    access: Seen,
    sweeps: Timed | None = None,
    *,
    tick_seconds: float = TICK_SECONDS,
    keep_seconds: float = KEEP_SECONDS,
) -> AsyncIOScheduler:
    """Return a scheduler, not yet started.

    :param sweeps: called as well in a process that works; a server alone keeps only its own.
    """
    made = AsyncIOScheduler(timezone="UTC")
    _every(made, "flush_seen", access.flush_seen, keep_seconds)
    if sweeps is not None:
        _every(made, "tick", sweeps.tick, tick_seconds)
        _every(made, "housekeeping", sweeps.housekeeping, keep_seconds)
    return made


def _every(
    made: AsyncIOScheduler, name: str, work: Callable[[], Awaitable[object]], seconds: float
) -> None:
    made.add_job(
        _guarded(name, work), "interval", seconds=seconds, id=name, coalesce=True,
        max_instances=1, misfire_grace_time=None,
    )  # fmt: skip


def _guarded(name: str, work: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        try:
            await work()
        except asyncio.CancelledError:  # the process stops; the scheduler would call it an error
            log.debug("tick_stopped", tick=name)
        except Exception as error:  # noqa: BLE001 - the next tick tries again
            log.warning("tick_failed", tick=name, error=type(error).__name__)

    return run
