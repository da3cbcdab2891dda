"""Who may press at all: people, of the Discord servers that are allowed here (T17, T18)."""

from dataclasses import dataclass
from typing import Final

from app.core.errors import AccountRefused
from app.core.ports import DeliveryFailed
from integrations.discord.event import Event
from integrations.discord.rest import Refused, Rest

_UNKNOWN: Final = 404


@dataclass(frozen=True, slots=True)
class Members:
    """Knows the servers that are allowed, and asks Discord who is in them.

    :ivar allowed: their ids; empty leaves it to who is linked.
    """

    rest: Rest
    allowed: tuple[str, ...]

    def check(self, event: Event) -> None:
        """Refuse what the event itself shows.

        :raises AccountRefused: it is a bot, or the press comes from another server.
        """
        if event.bot:
            message = "Bots do not decide."
            raise AccountRefused(message)
        if self.allowed and event.guild and event.guild not in self.allowed:
            message = "This Discord server is not one whose members decide here."
            raise AccountRefused(message)

    async def check_conversation(self, event: Event) -> None:
        """Refuse somebody who writes to the bot and is in no allowed server (any more).

        :raises AccountRefused: so it is, or Discord does not say.
        """
        if not self.allowed or event.guild:
            return
        for guild in self.allowed:
            if await self._has(guild, event.account.id):
                return
        message = "You are in no Discord server whose members decide here."
        raise AccountRefused(message)

    async def _has(self, guild: str, user: str) -> bool:
        path = "/guilds/{guild_id}/members/{user_id}"
        try:
            await self.rest.ask("GET", path, guild_id=guild, user_id=user)
        except DeliveryFailed as failure:
            if isinstance(failure, Refused) and failure.answered == _UNKNOWN:
                return False
            message = f"Who you are cannot be asked now: {failure.detail}. Use the page instead."
            raise AccountRefused(message) from None
        return True
