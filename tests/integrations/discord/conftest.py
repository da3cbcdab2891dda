"""The played vendor, and discord.py, whose import of audioop warns on Python 3.11."""

import warnings
from collections.abc import AsyncIterator

import pytest

from tests.support.discord_server import Discord, redirected

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import discord as _discord

assert _discord.__version__


@pytest.fixture
async def vendor() -> AsyncIterator[Discord]:
    """The played vendor, with discord.py pointed at it."""
    async with Discord() as played:
        with redirected(played):
            yield played
