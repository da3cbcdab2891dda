"""The deliveries of one channel as a source of work, so that no channel waits for another.

A channel where everything fails is tried by one message at a time, with a rest between, so that an
outage leaves time for all else. Webhooks are not: their receivers have nothing to do with each
other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from app.core.delivery import Delivery
from app.core.instant import Instant, plus
from app.services.announcements import WEBHOOK
from app.services.couriers import Couriers
from app.store.tx import Change
from workers.loop import named

IN_A_ROW: Final = 16
"""Failures without a success between them after which a channel is out of order."""

REST: Final = 0.25
"""Seconds between tries then."""

log = structlog.get_logger()


@dataclass(slots=True)
class DeliverySource:
    """What is due in one channel."""

    couriers: Couriers
    channel: str
    _failures: int = 0
    _until: int = 0

    def wakes(self, change: Change) -> bool:
        """Whether a change may have brought a delivery for this channel."""
        return change == ("delivery", self.channel) or change[0] == "store"

    async def next_at(self) -> Instant | None:
        """Return when the next delivery is due, or None."""
        due = await self.couriers.next_at(self.channel)
        return None if due is None else Instant(max(due, self._until))

    async def claim(self, most: int) -> Sequence[Delivery]:
        """Take up to ``most`` due deliveries."""
        return await self.couriers.claim(self.channel, 1 if self._is_out else most)

    async def work(self, item: Delivery) -> None:
        """Carry one delivery."""
        try:
            self._note(taken=await self.couriers.carry(item))
        except Exception as error:  # noqa: BLE001 - its lease ends, and it is carried again
            log.warning("delivery_not_written", delivery=item.id, error=named(error))

    @property
    def _is_out(self) -> bool:
        return self._failures >= IN_A_ROW and self.channel != WEBHOOK

    def _note(self, *, taken: bool) -> None:
        """Count failures; a success ends the rests."""
        self._failures = 0 if taken else self._failures + 1
        self._until = plus(self.couriers.store.clock.now(), REST) if self._is_out else 0
