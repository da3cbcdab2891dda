"""``assentry migrate``: bring the database to this version."""

import argparse

from app.cli.start import guarded, prepare
from app.settings import Settings


def main(argv: list[str]) -> int:
    """Run the command."""
    argparse.ArgumentParser(prog="assentry migrate", description=__doc__).parse_args(argv)
    return guarded(_run)


async def _run(settings: Settings) -> int:
    from app.store.migrate import head  # noqa: PLC0415 - heavy

    prepare(settings)
    print(f"the database is at {head()}")
    return 0
