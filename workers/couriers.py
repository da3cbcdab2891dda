"""The deliveries of one channel as a source of work, so that no channel waits for another."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from app.core.delivery import Delivery
from app.core.instant import Instant
from app.services.couriers import Couriers
from app.store.tx import Change
from workers.loop import named

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DeliverySource:
    """What is due in one channel."""

    couriers: Couriers
    channel: str

    def wakes(self, change: Change) -> bool:
        """Whether a change may have brought a delivery for this channel."""
        return change == ("delivery", self.channel) or change[0] == "store"

    async def next_at(self) -> Instant | None:
        """Return when the next delivery is due, or None."""
        return await self.couriers.next_at(self.channel)

    async def claim(self, most: int) -> Sequence[Delivery]:
        """Take up to ``most`` due deliveries."""
        return await self.couriers.claim(self.channel, most)

    async def work(self, item: Delivery) -> None:
        """Carry one delivery."""
        try:
            await self.couriers.carry(item)
        except Exception as error:  # noqa: BLE001 - its lease ends, and it is carried again
            log.warning("delivery_not_written", delivery=item.id, error=named(error))
