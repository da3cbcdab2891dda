"""``assentry serve``: the server alone; workers run apart."""

import argparse

from app.cli.start import guarded, listen, prepare, serve, show_setup, with_port
from app.factory import services
from app.settings import Settings


def main(argv: list[str]) -> int:
    """Run the command."""
    argparse.ArgumentParser(prog="assentry serve", description=__doc__).parse_args(argv)
    return guarded(_run)


async def _run(settings: Settings) -> int:
    prepare(settings)
    sock = listen(settings)
    settings = with_port(settings, sock)
    async with services(settings) as opened:
        await show_setup(settings, opened)
        await serve(settings, opened, sock)
    return 0
