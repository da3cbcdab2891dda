"""Time that leaps: while there is work it stands still, and then it is the time of the next.

It leaps to whole steps, so that what is due at about the same time is done at the same time.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from app.core.delivery import Delivery
from app.core.instant import SECOND, Instant
from app.core.jobs import Lane
from app.services.couriers import Couriers
from app.store.engine import Store
from app.store.tx import Change
from tests.support.world import FakeClock, World
from workers.couriers import DeliverySource
from workers.jobs import JobSource
from workers.loop import Loop

STEP: Final = 10 * SECOND


@dataclass
class Time:
    """What all sources of a test share.

    :ivar busy: pieces of work that are being carried out.
    :ivar ends: an instant beyond which time does not go by itself; None for no such limit.
    """

    clock: FakeClock
    store: Store
    busy: int = 0
    ends: Instant | None = None
    sources: "list[Leaping]" = field(default_factory=list["Leaping"])
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def leap(self) -> None:
        """Go to the next instant at which something is due, if nothing is going on."""
        if self.busy:
            return
        due = [at for source in self.sources if (at := await source.inner.next_at()) is not None]
        if self.busy:
            return
        if not due or (self.ends is not None and min(due) > self.ends):
            self._over.set()
        elif min(due) > self.clock.at:
            self.clock.at = -(-min(due) // STEP) * STEP

    async def over(self, seconds: float) -> None:
        """Wait until nothing is left to do, or nothing before the end."""
        self._over.clear()
        self.store.signals.publish([("store", "")])
        async with asyncio.timeout(seconds):
            await self._over.wait()


@dataclass
class Leaping:
    """A source of work under such a time."""

    inner: Any
    time: Time

    def wakes(self, change: Change) -> bool:
        """Whether a change may have brought work."""
        return bool(self.inner.wakes(change))

    async def next_at(self) -> Instant | None:
        """Return when the next piece is due; when nothing else is to do, that is now."""
        await self.time.leap()
        found: Instant | None = await self.inner.next_at()
        return found

    async def claim(self, most: int) -> Sequence[Any]:
        """Take due pieces."""
        self.time.busy += 1
        try:
            found: Sequence[Any] = await self.inner.claim(most)
            self.time.busy += len(found)
        finally:
            self.time.busy -= 1
        return found

    async def work(self, item: Delivery) -> None:
        """Carry one out, and write it down."""
        try:
            report = await self.inner.work(item)
            if report is not None:
                await report()
        finally:
            self.time.busy -= 1


@asynccontextmanager
async def leaping(
    place: World, couriers: Couriers, *channels: str, concurrency: int = 16
) -> AsyncGenerator[Time, None]:
    """Run the loops of jobs and of channels as a worker does, but for the time."""
    clock, services, stop = place.services.clock, place.services, asyncio.Event()
    assert isinstance(clock, FakeClock)
    time = Time(clock, services.store)
    inner = [*(JobSource(services.store, services, lane) for lane in Lane),
             *(DeliverySource(couriers, name) for name in channels)]  # fmt: skip
    time.sources = [Leaping(source, time) for source in inner]
    async with asyncio.TaskGroup() as group:
        for source in time.sources:
            group.create_task(Loop(services.store, source, concurrency).run(stop))
        try:
            yield time
        finally:
            stop.set()
