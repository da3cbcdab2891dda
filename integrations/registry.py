"""The channels there are, and which of them this installation has set up."""

from collections.abc import Mapping
from typing import Final

from app.settings import PartSettings, load_part
from integrations.base import Registered

CHANNELS: Final[tuple[Registered, ...]] = ()
"""Every channel; one line each."""

PREFIXES: Final = tuple(channel.prefix for channel in CHANNELS)
"""The prefixes of their settings."""


def enabled(environ: Mapping[str, str] | None = None) -> list[tuple[Registered, PartSettings]]:
    """Return the channels that are set up, with their settings.

    :raises SettingsError: a setting of a channel is not valid.
    """
    found = [(channel, load_part(channel.settings(), environ)) for channel in CHANNELS]
    return [(channel, part) for channel, part in found if part.enabled]
