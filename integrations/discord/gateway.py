"""The connection to Discord over which presses come when Discord posts nowhere.

Every process that runs this hears every event; the first answer decides who goes on (``reply``).
Nothing is kept of what was sent, so controls work on after a restart.
"""

from typing import Any, Final
from urllib.parse import urlsplit

import discord
import structlog
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from app.core.json_types import JsonValue
from app.core.ports import DeliveryFailed
from integrations.discord.conversation import Conversation
from integrations.discord.event import Event, read_event
from integrations.discord.rest import Rest
from integrations.discord.settings import DiscordSettings, is_loopback

_LIMIT: Final = 30.0
log = structlog.get_logger()


class GatewayLost(ConnectionError):
    """The connection to Discord's gateway ended."""


async def listen(settings: DiscordSettings, rest: Rest, conversation: Conversation) -> None:
    """Hear events until cancelled.

    :raises DeliveryFailed: Discord says not where its gateway is.
    :raises GatewayLost: the connection ended and could not be taken up again.
    """
    answer = await rest.ask("GET", "/gateway/bot")
    _point(settings, answer.get("url"))
    async with _Bot(settings, conversation) as bot:
        await bot.start(settings.token.get_secret_value(), reconnect=False)
    raise GatewayLost


def _point(settings: DiscordSettings, url: JsonValue) -> None:
    """Tell discord.py, which has no switch for it, where Discord is; there is one in a process.

    :raises DeliveryFailed: this is no gateway to send a token to.
    """
    parts = urlsplit(url if isinstance(url, str) else "")
    local = is_loopback(urlsplit(settings.api_url).hostname) and is_loopback(parts.hostname)
    if parts.scheme != "wss" and not (parts.scheme == "ws" and local):
        message = "Discord names a gateway that is no wss address"
        raise DeliveryFailed(message)
    Route.BASE = settings.api_url
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(str(url))


class _Bot(discord.Client):
    """Hears interactions and nothing else: it asks for no events, and remembers nobody."""

    def __init__(self, settings: DiscordSettings, conversation: Conversation) -> None:
        super().__init__(
            intents=discord.Intents.none(), max_messages=None, max_ratelimit_timeout=_LIMIT,
            member_cache_flags=discord.MemberCacheFlags.none(), chunk_guilds_at_startup=False,
        )  # fmt: skip
        self._settings = settings
        self._conversation = conversation

    async def on_ready(self) -> None:
        """Say that presses are heard from now on."""
        log.info("gateway_connected", channel="discord")

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Hear one event."""
        event = _event(interaction)
        own = self._settings.application_id or str(self.application_id)
        if event is not None and event.application == own:
            await self._conversation.hear(event)


def _event(interaction: discord.Interaction[Any]) -> Event | None:
    """Return the event of an interaction; None for what is not handled here."""
    user = interaction.user
    about = {
        "id": str(user.id), "username": user.name, "global_name": user.global_name,
        "bot": user.bot, "system": user.system,
    }  # fmt: skip
    data: Any = interaction.data or {}
    guild = None if interaction.guild_id is None else str(interaction.guild_id)
    payload: dict[str, Any] = {
        "id": str(interaction.id), "type": interaction.type.value, "token": interaction.token,
        "application_id": str(interaction.application_id), "guild_id": guild, "user": about,
        "data": data,
    }  # fmt: skip
    try:
        return read_event(payload)
    except ValueError:
        log.info("event_not_known", channel="discord", kind=interaction.type.value)
        return None
