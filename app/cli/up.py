"""``assentry up``: server and worker in one process."""

import argparse
import asyncio
from contextlib import AsyncExitStack

from app.cli.start import guarded, listen, prepare, serve, show_setup, with_port
from app.factory import services
from app.settings import Settings
from workers.main import work


def main(argv: list[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="assentry up", description=__doc__)
    parser.add_argument(
        "--example", action="store_true", help="start an example upstream on loopback as well"
    )
    options = parser.parse_args(argv)
    return guarded(lambda settings: _run(settings, example=options.example))


async def _run(settings: Settings, *, example: bool) -> int:
    prepare(settings)
    sock = listen(settings)
    settings = with_port(settings, sock)
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(services(settings))
        if example:
            from app.cli.example import running  # noqa: PLC0415 - only when it is asked for

            await stack.enter_async_context(running(opened))
        await show_setup(settings, opened)
        async with asyncio.TaskGroup() as group:
            group.create_task(work(opened, stop))
            try:
                await serve(settings, opened, sock)
            finally:
                stop.set()
    return 0
