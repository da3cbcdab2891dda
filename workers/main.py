"""A worker: the job loop and the ticks, until it is told to stop."""

import asyncio
from typing import Protocol

import structlog

from app.services.access import Access
from app.services.execution import Execution
from app.services.sweeps import Sweeps
from app.settings import Settings
from app.store.engine import Store
from workers.loop import Loop
from workers.schedule import scheduler

log = structlog.get_logger()


class Parts(Protocol):
    """What a worker needs of the services."""

    @property
    def settings(self) -> Settings: ...  # noqa: D102
    @property
    def store(self) -> Store: ...  # noqa: D102
    @property
    def access(self) -> Access: ...  # noqa: D102
    @property
    def execution(self) -> Execution: ...  # noqa: D102
    @property
    def sweeps(self) -> Sweeps: ...  # noqa: D102


async def work(services: Parts, stop: asyncio.Event) -> None:
    """Run a worker until ``stop`` is set."""
    ticks = scheduler(services.access, services.sweeps)
    ticks.start()
    log.info("worker_started", worker=services.execution.worker)
    try:
        concurrency = services.settings.worker_concurrency
        await Loop(services.store, services.execution, concurrency).run(stop)
    finally:
        ticks.shutdown(wait=False)
        log.info("worker_stopped", worker=services.execution.worker)
