"""``assentry up``: server and worker in one process."""

import argparse
import asyncio
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from app.cli.start import guarded, prepare, show_setup
from app.settings import Settings

if TYPE_CHECKING:
    from app.services.bundle import Services


def main(argv: list[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="assentry up", description=__doc__)
    parser.add_argument(
        "--example", action="store_true", help="start an example upstream on loopback as well"
    )
    options = parser.parse_args(argv)
    return guarded(lambda settings: _run(settings, example=options.example))


async def _run(settings: Settings, *, example: bool) -> int:
    from app.cli.listening import listen, on_signals, with_port  # noqa: PLC0415 - heavy
    from app.factory import services  # noqa: PLC0415 - heavy

    stop = asyncio.Event()
    on_signals(stop)
    prepare(settings)
    sock = listen(settings)
    settings = with_port(settings, sock)
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(services(settings))
        upstream = ""
        if example:
            from app.cli.example import running  # noqa: PLC0415 - only when it is asked for

            upstream = await stack.enter_async_context(running(opened))
        await _greet(settings, opened, upstream)
        await _serve_and_work(settings, opened, sock, stop)
    return 0


async def _greet(settings: Settings, opened: "Services", upstream: str) -> None:
    """Say where everything is; the one-time link comes last, where it is seen."""
    print(f"\n  Assentry runs at {settings.public_url}", flush=True)
    if upstream:
        print(f"  The example upstream, a notes API, runs at {upstream}", flush=True)
    if not await show_setup(settings, opened):
        print(flush=True)


async def _serve_and_work(
    settings: Settings, opened: "Services", sock: socket.socket, stop: asyncio.Event
) -> None:
    """Run both until ``stop`` is set; when one ends, the other does."""
    from app.cli.listening import serve  # noqa: PLC0415 - heavy
    from workers.main import work  # noqa: PLC0415 - heavy

    async with asyncio.TaskGroup() as group:
        group.create_task(work(opened, stop))
        try:
            await serve(settings, opened, sock, stop)
        finally:
            stop.set()
    await opened.access.flush_seen()
