"""The channels there are, and which of them this installation has set up."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from app.settings import PartSettings, load_part
from integrations.base import Registered
from integrations.discord import DISCORD
from integrations.email import EMAIL
from integrations.slack import SLACK

SetUp: TypeAlias = tuple[Registered, PartSettings]
"""A channel with its settings."""

CHANNELS: Final[tuple[Registered, ...]] = (EMAIL, SLACK, DISCORD)
"""Every channel; one line each."""

PREFIXES: Final = tuple(channel.prefix for channel in CHANNELS)
"""The prefixes of their settings."""


def enabled(environ: Mapping[str, str] | None = None) -> list[SetUp]:
    """Return the channels that are set up, with their settings.

    :raises SettingsError: a setting of a channel is not valid.
    """
    found = [(channel, settings_of(channel, environ)) for channel in CHANNELS]
    return [(channel, part) for channel, part in found if part.enabled]


def settings_of(channel: Registered, environ: Mapping[str, str] | None = None) -> PartSettings:
    """Return the settings of a channel, which may be off.

    :raises SettingsError: one is not valid.
    """
    return load_part(channel.settings(), environ)
