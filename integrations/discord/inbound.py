"""The way in: presses over the gateway or by Discord's posts, and `/assentry` (CH-2)."""

from collections.abc import Sequence
from typing import Final

from starlette.routing import Route

from app.clock import SystemClock
from app.core.json_types import JsonObject, JsonValue
from app.core.ports import DeliveryFailed, Desk
from integrations.discord.conversation import Conversation
from integrations.discord.door import Door, Signatures
from integrations.discord.gateway import listen
from integrations.discord.members import Members
from integrations.discord.rest import Rest
from integrations.discord.settings import DiscordSettings

PATH: Final = "/integrations/discord"
"""Where Discord posts; it is entered as the application's interactions endpoint."""

_ID: Final[JsonObject] = {
    "type": 3, "name": "id", "description": "The request's id, such as req_…", "required": True,
    "max_length": 100,
}  # fmt: skip
COMMAND: Final[JsonObject] = {
    "name": "assentry", "type": 1, "description": "Requests that wait for a decision",
    "contexts": [0, 1], "integration_types": [0],
    "options": [
        {"type": 1, "name": "inbox", "description": "What waits for you"},
        {"type": 1, "name": "show", "description": "One request, in full", "options": [_ID]},
    ],
}  # fmt: skip
"""The slash command, as it is registered; what it answers is seen by the caller alone."""


class DiscordInbound:
    """The way in; which of the two is a setting."""

    def __init__(
        self, settings: DiscordSettings, rest: Rest, desk: Desk, clock: SystemClock
    ) -> None:
        """Remember what it needs."""
        self._settings = settings
        self._rest = rest
        self._conversation = Conversation(desk, rest, Members(rest, settings.allowed))
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        """Return the door for Discord's posts; none with the gateway."""
        given = self._settings
        if given.mode != "http":
            return ()
        signatures = Signatures.of(given.public_key, self._clock)
        door = Door(signatures, self._conversation, given.application_id)
        return (Route(PATH, door.post, methods=["POST"]),)

    async def run(self) -> None:
        """Register the command, and hold the gateway's connection until cancelled.

        :raises DeliveryFailed: Discord does not answer, or does not know us.
        :raises GatewayLost: the connection ended.
        """
        await self._register()
        if self._settings.mode == "gateway":
            await listen(self._settings, self._rest, self._conversation)

    async def _register(self) -> None:
        """Enter the command; one of the same name is replaced, others stay."""
        own: JsonValue = self._settings.application_id
        if not own:
            own = (await self._rest.ask("GET", "/oauth2/applications/@me")).get("id")
        if not isinstance(own, str):
            message = "Discord did not answer as documented"
            raise DeliveryFailed(message)
        path = "/applications/{application_id}/commands"
        await self._rest.ask("POST", path, COMMAND, application_id=own)
