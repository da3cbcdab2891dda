"""Work that outlives the one who asked for it, and that all who want it wait for together."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger()


@dataclass(slots=True)
class Flights:
    """One piece of work for each name at a time in this process.

    A caller that goes away (its client hung up) leaves the work running: a token that a service
    gave and replaced the one before with must be written down whoever still wants it.
    """

    group: asyncio.TaskGroup | None = None
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None, None]:
        """Let work be started; at the end, wait for what is under way."""
        async with asyncio.TaskGroup() as self.group:
            yield
        self.group = None

    async def join(self, name: str, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Start the work unless it runs, and wait until it ends, or for so many seconds."""
        if self.group is None:
            await _run(work)
            return
        task = self._running.get(name)
        if task is None:
            task = self._running[name] = self.group.create_task(_run(work))
            task.add_done_callback(lambda _: self._running.pop(name, None))
        await asyncio.wait({task}, timeout=seconds)


async def _run(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception as error:  # noqa: BLE001 - those who wait look at what is written down
        log.warning("flight_failed", error=type(error).__name__)
