"""``assentry keys rotate``: wrap every stored secret and result by the current master key."""

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
        current = opened.vault.sealer.current
        counts = {
            "credentials and items": await opened.vault.rotate(),
            "webhooks": await opened.webhooks.rewrap(),
            "results": await opened.requests.rewrap_results(),
        }
    for what, count in counts.items():
        print(f"{what}: {count} values were wrapped anew")
    print(f"Everything stored is under {current} now. A backup needs the keys of its time.")
    return 0
