"""Discord: cards as embeds with buttons, `/assentry`; gateway or HTTP interactions (CH-2).

Imports the core, Starlette, cryptography and, in ``rest`` and ``gateway`` alone, discord.py;
nothing of it before Discord is set up.
"""

from typing import Final, cast

from app.core.ports import Channel, Desk, Inbound
from app.settings import PartSettings
from integrations.base import Registered


def _settings() -> type[PartSettings]:
    from integrations.discord.settings import DiscordSettings  # noqa: PLC0415 - when it is needed

    return DiscordSettings


def _channel(part: PartSettings) -> Channel:
    from integrations.discord.channel import DiscordChannel  # noqa: PLC0415 - likewise
    from integrations.discord.rest import Rest  # noqa: PLC0415 - likewise
    from integrations.discord.settings import DiscordSettings  # noqa: PLC0415 - likewise

    settings = cast("DiscordSettings", part)
    return DiscordChannel(settings, Rest(settings))


def _inbound(part: PartSettings, channel: Channel, desk: Desk) -> Inbound:
    from app.clock import SystemClock  # noqa: PLC0415 - likewise
    from integrations.discord.channel import DiscordChannel  # noqa: PLC0415 - likewise
    from integrations.discord.inbound import DiscordInbound  # noqa: PLC0415 - likewise
    from integrations.discord.settings import DiscordSettings  # noqa: PLC0415 - likewise

    settings, made = cast("DiscordSettings", part), cast("DiscordChannel", channel)
    return DiscordInbound(settings, made.rest, desk, SystemClock())


DISCORD: Final = Registered("discord", "ASSENTRY_DISCORD_", _settings, _channel, _inbound)
"""The registration of this channel."""
