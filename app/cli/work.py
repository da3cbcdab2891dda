"""``assentry work``: a worker alone."""

import argparse
import asyncio
import sys

from app.cli.start import guarded, note_engine, prepare
from app.settings import Settings


def main(argv: list[str]) -> int:
    """Run the command."""
    argparse.ArgumentParser(prog="assentry work", description=__doc__).parse_args(argv)
    return guarded(_run)


async def _run(settings: Settings) -> int:
    from app.cli.listening import on_signals  # noqa: PLC0415 - heavy
    from app.factory import services  # noqa: PLC0415 - heavy
    from workers.main import work  # noqa: PLC0415 - heavy

    stop = asyncio.Event()
    on_signals(stop)
    prepare(settings)
    note_engine(settings)
    async with services(settings) as opened:
        print(f"working {opened.execution.worker}", file=sys.stderr, flush=True)
        await work(opened, stop)
    return 0
