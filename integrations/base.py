"""What every channel's folder offers, and how it is registered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.routing import BaseRoute

from app.core.ports import Channel, Desk
from app.settings import PartSettings


class Inbound(Protocol):
    """The way in of a channel: what people press there comes to a desk."""

    def routes(self) -> Sequence[BaseRoute]:
        """Return the HTTP routes that the product calls; empty when it is called by us."""
        ...

    async def run(self) -> None:
        """Hold the long-lived connection until cancelled; return at once when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Registered:
    """A channel as the registry names it; nothing is imported before it is needed (D12).

    :ivar name: of the channel, in routes and in the audit.
    :ivar prefix: of its settings.
    :ivar settings: returns the class of its settings.
    :ivar channel: makes the channel from its settings.
    :ivar inbound: makes its way in from settings, channel and desk; None where there is none.
    """

    name: str
    prefix: str
    settings: Callable[[], type[PartSettings]]
    channel: Callable[[PartSettings], Channel]
    inbound: Callable[[PartSettings, Channel, Desk], Inbound] | None = None
