"""``assentry work``: a worker alone."""

import argparse
import asyncio
import sys

from app.cli.start import guarded, on_signals, prepare
from app.factory import services
from app.settings import Settings
from workers.main import work


def main(argv: list[str]) -> int:
    """Run the command."""
    argparse.ArgumentParser(prog="assentry work", description=__doc__).parse_args(argv)
    return guarded(_run)


async def _run(settings: Settings) -> int:
    prepare(settings)
    stop = asyncio.Event()
    on_signals(stop)
    async with services(settings) as opened:
        print(f"working {opened.execution.worker}", file=sys.stderr, flush=True)
        await work(opened, stop)
    return 0
