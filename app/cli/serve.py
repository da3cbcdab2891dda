"""``assentry serve``: the server alone; workers run apart."""

import argparse
import asyncio

from app.cli.start import guarded, note_engine, prepare, say
from app.settings import Settings


def main(argv: list[str]) -> int:
    """Run the command."""
    argparse.ArgumentParser(prog="assentry serve", description=__doc__).parse_args(argv)
    return guarded(_run)


async def _run(settings: Settings) -> int:
    from app.cli.listening import listen, on_signals, serve, with_port  # noqa: PLC0415 - heavy
    from app.factory import services  # noqa: PLC0415 - heavy
    from workers.schedule import scheduler  # noqa: PLC0415 - heavy

    stop = asyncio.Event()
    on_signals(stop)
    prepare(settings)
    note_engine(settings)
    sock = listen(settings)
    settings = with_port(settings, sock)
    async with services(settings) as opened:
        if await opened.people.setup_open():
            say("nobody has an account yet; 'assentry bootstrap' prints the link that makes one")
        seen = scheduler(opened.access)
        seen.start()
        try:
            await serve(settings, opened, sock, stop)
        finally:
            seen.shutdown(wait=False)
            await opened.access.flush_seen()
    return 0
