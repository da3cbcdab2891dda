"""Answers to what a person did: the first within three seconds, what follows by its token.

The first answer goes to the callback, whichever way the event came. Discord takes one, so where
several processes heard the same event, or somebody posts it again, a single one goes on.
"""

from dataclasses import dataclass
from typing import Final

from app.core.json_types import JsonObject
from integrations.discord.acts import Act, custom_id
from integrations.discord.channel import NOBODY
from integrations.discord.event import Event
from integrations.discord.rest import Refused, Rest

REASON: Final = "reason"
"""The id of a form's field."""

_WHISPER: Final = 4
_THINK: Final = 5
_UPDATE_LATER: Final = 6
_FORM: Final = 9

_QUIET: Final = 1 << 2
_EPHEMERAL: Final = 1 << 6
_TAKEN: Final = frozenset({40060, 10062})
_MOST: Final = 2_000
_REASON: Final = 2_000


@dataclass(frozen=True, slots=True)
class Reply:
    """Answers one event; every method raises ``DeliveryFailed`` when Discord does not take it."""

    rest: Rest
    event: Event

    async def claim(self) -> bool:
        """Say that the message is changed later; whether nobody else has answered."""
        return await self._first({"type": _UPDATE_LATER})

    async def think(self) -> bool:
        """Say that an answer follows, for these eyes only; whether nobody else has answered."""
        return await self._first({"type": _THINK, "data": {"flags": _EPHEMERAL}})

    async def refuse(self, text: str) -> bool:
        """Answer at once with a text, for these eyes only."""
        return await self._first({"type": _WHISPER, "data": _whisper(text)})

    async def ask(self, act: Act) -> bool:
        """Open a form that asks for the reason."""
        verb = act.verb.capitalize()
        field: JsonObject = {
            "type": 4, "custom_id": REASON, "style": 2, "min_length": 1, "max_length": _REASON,
            "required": True,
        }  # fmt: skip
        label: JsonObject = {
            "type": 18, "label": "Reason", "description": "Kept with your decision.",
            "component": field,
        }  # fmt: skip
        data: JsonObject = {
            "custom_id": custom_id(act), "title": f"{verb} with a reason", "components": [label],
        }  # fmt: skip
        return await self._first({"type": _FORM, "data": data})

    async def whisper(self, text: str) -> None:
        """Say something after the first answer, for these eyes only."""
        path = "/webhooks/{webhook_id}/{webhook_token}"
        await self.rest.call("POST", path, _whisper(text), **self._ids)

    async def show(self, body: JsonObject) -> None:
        """Put a message in the place of the first answer: the card, or what follows."""
        path = "/webhooks/{webhook_id}/{webhook_token}/messages/@original"
        await self.rest.call("PATCH", path, {**body, "allowed_mentions": NOBODY}, **self._ids)

    @property
    def _ids(self) -> dict[str, str]:
        return {"webhook_id": self.event.application, "webhook_token": self.event.token}

    async def _first(self, callback: JsonObject) -> bool:
        path = "/interactions/{webhook_id}/{webhook_token}/callback"
        event = self.event
        try:
            await self.rest.call(
                "POST", path, callback, webhook_id=event.id, webhook_token=event.token
            )
        except Refused as refused:
            if refused.code in _TAKEN:
                return False
            raise
        return True


def _whisper(text: str) -> JsonObject:
    flags = _EPHEMERAL | _QUIET
    return {"content": text[:_MOST], "flags": flags, "allowed_mentions": NOBODY}
