"""A worker: the job loop and the ticks, until it is told to stop."""

import asyncio
from typing import Final, Protocol

import structlog

from app.core.jobs import EXECUTING, Lane
from app.core.ports import Inbound
from app.services.access import Access
from app.services.announcements import WEBHOOK, Announcements
from app.services.bundles import Bundles
from app.services.couriers import Couriers
from app.services.execution import Execution
from app.services.notices import Notices
from app.services.sweeps import Sweeps
from app.settings import Settings
from app.store.engine import Store
from app.store.jobs import ClaimedJob
from workers.bots import holding
from workers.couriers import DeliverySource
from workers.jobs import JobSource
from workers.loop import Loop
from workers.schedule import scheduler

CARRIED: Final = 16
"""Messages that one worker carries at a time in one channel."""

TOLD: Final = 16
"""Notices or announcements that one worker makes at a time."""

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
    def bundles(self) -> Bundles: ...  # noqa: D102
    @property
    def notices(self) -> Notices: ...  # noqa: D102
    @property
    def announcements(self) -> Announcements: ...  # noqa: D102
    @property
    def couriers(self) -> Couriers: ...  # noqa: D102
    @property
    def inbounds(self) -> tuple[Inbound, ...]: ...  # noqa: D102
    @property
    def sweeps(self) -> Sweeps: ...  # noqa: D102


async def work(services: Parts, stop: asyncio.Event) -> None:
    """Run a worker until ``stop`` is set."""
    ticks = scheduler(services.access, services.sweeps)
    ticks.start()
    log.info("worker_started", worker=services.execution.worker)
    try:
        async with asyncio.TaskGroup() as group:
            bots = [group.create_task(holding(inbound)) for inbound in services.inbounds]
            for channel in (*services.couriers.channels, WEBHOOK):
                source = DeliverySource(services.couriers, channel)
                group.create_task(Loop(services.store, source, CARRIED).run(stop))
            async with asyncio.TaskGroup() as lanes:
                for lane in Lane:
                    lanes.create_task(_lane(services, lane).run(stop))
            for bot in bots:
                bot.cancel()
    finally:
        ticks.shutdown(wait=False)
        log.info("worker_stopped", worker=services.execution.worker)


def _lane(services: Parts, lane: Lane) -> Loop[ClaimedJob]:
    """Return the loop over one lane; that one is full leaves the others alone."""
    settings = services.settings
    if lane in EXECUTING:
        source = JobSource(services.store, services, lane, settings.agent_concurrency)
        return Loop(services.store, source, settings.worker_concurrency)
    return Loop(services.store, JobSource(services.store, services, lane), TOLD)
