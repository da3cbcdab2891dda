"""``assentry keys rotate``: wrap every stored secret by the current master key."""

import argparse

from app.cli.start import check_schema, guarded
from app.settings import Settings


def main(argv: list[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="assentry keys", description=__doc__)
    parser.add_argument("what", choices=["rotate"])
    parser.parse_args(argv)
    return guarded(_rotate)


async def _rotate(settings: Settings) -> int:
    from app.factory import services  # noqa: PLC0415 - heavy

    check_schema(settings)
    async with services(settings) as opened:
        count = await opened.vault.rotate() + await opened.webhooks.rewrap()
        days = settings.result_retention / 86_400
        print(f"{count} values were wrapped anew; the current key is {opened.vault.sealer.current}")
        print(f"Keep the former keys configured for {days:g} days: results may still need them.")
    return 0
