"""What is shown once is opened by its own session, on its own page, in time."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.instant import Instant
from app.core.principals import Session
from app.services.once import SECONDS
from tests.support.canary import CANARY
from tests.support.world import FakeClock, World, world

pytestmark = pytest.mark.requirement("KEY-1", "T15")
SESSION = Session("a" * 64, "per_1", "form", Instant(0), Instant(0), Instant(0), "", "")


@pytest.fixture
async def place(tmp_path: Path, clock: FakeClock) -> AsyncGenerator[World, None]:
    async with world(f"sqlite:///{tmp_path / 'test.db'}", tmp_path, clock=clock) as opened:
        yield opened


async def test_a_secret_is_opened_where_it_is_for_and_in_time(
    place: World, clock: FakeClock
) -> None:
    once = place.services.once
    carried = once.seal(SESSION, "/agents/agt_1", CANARY)
    assert CANARY not in carried
    assert once.open(SESSION, "/agents/agt_1", carried) == CANARY
    other = replace(SESSION, sha256="b" * 64)
    assert once.open(SESSION, "/account", carried) == once.open(other, "/agents/agt_1", carried)
    for odd in ("", "x", "é", carried[:-8], carried.swapcase(), "AAAA" * 40):
        assert once.open(SESSION, "/agents/agt_1", odd) == ""
    clock.move(SECONDS)
    assert once.open(SESSION, "/agents/agt_1", carried) == CANARY
    clock.move(1)
    assert once.open(SESSION, "/agents/agt_1", carried) == ""
