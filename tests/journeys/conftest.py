"""Journeys: real processes, one story each."""

from collections.abc import AsyncGenerator

import pytest

from tests.support.api import Api


@pytest.fixture
async def _clients() -> AsyncGenerator[None, None]:
    """Close the clients that a story opened."""
    yield
    await Api.close_all()
