"""What tests of the services share: a clock that a test moves, and an upstream on loopback."""

from collections.abc import AsyncGenerator

import pytest

from tests.support.upstream import Upstream
from tests.support.world import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def upstream() -> AsyncGenerator[Upstream, None]:
    async with Upstream() as running:
        yield running
