"""How fast a worker empties a queue, and how long what a person approves waits meanwhile.

    python -m benchmarks.drain [--requests 2000] [--database URL]

So many GETs that a policy allows are queued for an upstream on loopback; then a worker starts. When
a quarter is done, a person approves a DELETE of the same agent. All is in one process: the upstream
and the worker share a core.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import structlog
import uvloop

from app.core.request import Request
from app.services.intake import Asked
from tests.support.upstream import Upstream
from tests.support.world import World, world
from workers.main import work

_TOGETHER = 64
_LOOK_SECONDS = 0.05


async def queue(place: World, number: int) -> None:
    """Make so many requests that a policy allows."""
    left: Iterator[int] = iter(range(number))

    async def some() -> None:
        for at in left:
            params = {"method": "GET", "path": f"/status/200?{at}"}
            asked = Asked(
                action="http.request", context={"at": at}, target="upstream", params=params
            )
            await place.services.intake.submit(place.robot, asked)

    async with asyncio.TaskGroup() as group:
        for _ in range(_TOGETHER):
            group.create_task(some())


async def until_left(place: World, most: int) -> None:
    """Wait until so many executions are left at most."""
    left = most + 1
    while left > most:
        await asyncio.sleep(_LOOK_SECONDS)
        depth = await place.services.store.read(lambda tx: tx.jobs.depth())
        left = depth.get("execute", 0)


async def approve(place: World, request: Request) -> float:
    """Approve a request and return the seconds until it has run."""
    began = time.perf_counter()
    await place.vote(request)
    await place.services.feed.wait(place.anne, request.id, 600.0, "final")
    return time.perf_counter() - began


async def measure(folder: Path, database: str, number: int) -> None:
    url = database or f"sqlite:///{folder / 'drain.db'}"
    async with Upstream() as upstream, world(url, folder, request_rate="") as place:
        await place.target(upstream.url)
        await place.policy("reads pass", "allow", {"http.method": {"in": ["GET"]}})
        await queue(place, number)
        request = await place.call("DELETE", "/status/200")
        stop, began = asyncio.Event(), time.perf_counter()
        cpu = time.process_time()
        async with asyncio.TaskGroup() as group:
            group.create_task(work(place.services, stop))
            await until_left(place, number * 3 // 4)
            waited = await approve(place, request)
            await until_left(place, 0)
            took = time.perf_counter() - began
            cpu = time.process_time() - cpu
            stop.set()
    print(
        f"{place.services.store.kind}: {number} executions in {took:.1f} s, {number / took:.0f}/s, "
        f"{100 * cpu / took:.0f} % of a core; approved in the middle, ran after {waited:.2f} s",
        flush=True,
    )


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--database", default="")
    options = parser.parse_args(argv)
    quiet = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(wrapper_class=quiet)
    with tempfile.TemporaryDirectory() as name:
        run = measure(Path(name), options.database, options.requests)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
