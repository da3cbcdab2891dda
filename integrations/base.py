"""What every channel's folder offers, and how it is registered."""

from collections.abc import Callable
from dataclasses import dataclass

from app.core.ports import Channel, Desk, Inbound
from app.settings import PartSettings

__all__ = ("Inbound", "Registered")


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
