"""PostgreSQL's notifications; loaded only where that is the database, for its driver is heavy."""

import asyncio
from collections.abc import Callable

import psycopg
import structlog

log = structlog.get_logger()


async def listen(url: str, heard: Callable[[str], None], again: Callable[[], None]) -> None:
    """Hand over every payload of our channel; connect again when the connection is lost.

    :param again: called whenever a connection stands, for something may have been missed.
    """
    while True:
        try:
            connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
            async with connection:
                await connection.execute("LISTEN assentry")
                again()
                async for notice in connection.notifies():
                    heard(notice.payload)
        except psycopg.Error as error:
            log.warning("store_listen_lost", error=type(error).__name__)
            await asyncio.sleep(1)
