"""Long-lived connections to products that call nobody: held, and opened again when they break."""

import asyncio
from typing import Final

import structlog

from app.core.ports import Inbound

_FIRST: Final = 1.0
_LONGEST: Final = 60.0
log = structlog.get_logger()


async def holding(inbound: Inbound) -> None:
    """Run a channel's connection until cancelled; after an error wait, each time longer."""
    wait = _FIRST
    while True:
        try:
            await inbound.run()
        except Exception as error:  # noqa: BLE001 - whatever the product does, we come back
            log.warning("connection_lost", part=type(inbound).__name__, error=type(error).__name__)
        else:
            return
        await asyncio.sleep(wait)
        wait = min(wait * 2, _LONGEST)
