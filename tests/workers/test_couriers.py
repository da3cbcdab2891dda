"""A channel where everything fails is tried by one at a time, with rests; then as before again."""

from pathlib import Path
from typing import ClassVar

import pytest

from app.core.instant import SECOND
from app.core.ports import DeliveryFailed
from tests.support.channel import FakeChannel
from tests.support.world import FakeClock, world
from workers.couriers import IN_A_ROW, REST, DeliverySource

pytestmark = pytest.mark.requirement("CH-6")


class Mail(FakeChannel):
    """A channel that everybody has an address in."""

    name: ClassVar[str] = "email"


async def test_an_outage_is_not_hammered(database_url: str, tmp_path: Path) -> None:
    mail, clock = Mail(failure=DeliveryFailed("out of order")), FakeClock()
    async with world(database_url, tmp_path, clock=clock, channels=(mail,)) as place:
        for _ in range(IN_A_ROW):
            await place.services.notices.notify((await place.ask()).id)
        source = DeliverySource(place.services.couriers, "email")
        for _ in range(IN_A_ROW):
            for item in await source.claim(1):
                await source.work(item)
        due = await source.next_at()
        assert due == clock.now() + REST * SECOND
        (item,) = await source.claim(16)
        mail.failure = None
        await source.work(item)
        assert await source.next_at() == clock.now()
        assert len(await source.claim(16)) > 1
