"""Posts and changes cards in Discord; every decision happens elsewhere."""

import hashlib
import re
from typing import ClassVar, Final

from app.core.approval_card import ApprovalCard, Painted
from app.core.json_types import JsonObject, JsonValue
from app.core.ports import DeliveryFailed, Digest, Posted
from app.core.visible import visible_text
from integrations.discord.paint import digest_message, message
from integrations.discord.rest import Rest
from integrations.discord.settings import DiscordSettings

NOBODY: Final[JsonObject] = {"parse": []}
"""The mentions that a message may notify: none."""

_RECIPIENT: Final = re.compile(r"(?:(user|channel):)?([0-9]{1,20})")
_ID: Final = re.compile(r"[0-9]{1,20}")
_KEPT: Final = 10_000


class DiscordChannel:
    """Shows cards in Discord. A recipient is a user's id, also as ``user:ID``, or ``channel:ID``.

    :ivar rest: what calls Discord; the way in uses the same.
    """

    name: ClassVar[str] = "discord"
    wants_link: ClassVar[bool] = False

    def __init__(self, settings: DiscordSettings, rest: Rest) -> None:
        """Keep the settings."""
        self.rest = rest
        self._settings = settings
        self._places: dict[str, str] = {}

    async def deliver(self, card: ApprovalCard, recipient: str) -> Posted:
        """Post a card.

        A second try after a lost answer finds the first message, for as long as Discord
        remembers its nonce.

        :raises DeliveryFailed: it was not taken.
        """
        return await self._post(message(card), recipient, card.token)

    async def refresh(
        self,
        card: ApprovalCard,
        recipient: str,  # noqa: ARG002 - the port's; the reference says where
        reference: JsonObject,
    ) -> Posted:
        """Change an earlier message to what the card says now.

        :raises DeliveryFailed: it was not changed.
        """
        painted = message(card)
        body: JsonObject = {**painted.body, "allowed_mentions": NOBODY}
        place = {name: _id(reference.get(key)) for name, key in
                 (("channel_id", "channel"), ("message_id", "message"))}  # fmt: skip
        path = "/channels/{channel_id}/messages/{message_id}"
        await self.rest.ask("PATCH", path, body, **place)
        return Posted(reference, painted.display, complete=painted.complete)

    async def digest(self, digest: Digest, recipient: str) -> Posted:
        """Post a list of what waits.

        :raises DeliveryFailed: it was not taken.
        """
        return await self._post(digest_message(digest), recipient, "digest")

    async def check(self) -> str:
        """Return which bot we are.

        :raises DeliveryFailed: Discord does not answer, or does not know us, or the application
            that is set is not the bot's.
        """
        me = await self.rest.ask("GET", "/users/@me")
        own = await self.rest.ask("GET", "/oauth2/applications/@me")
        given = self._settings
        if given.application_id and own.get("id") != given.application_id:
            detail = "APPLICATION_ID is not the application of the bot's token"
            raise DeliveryFailed(detail)
        if given.mode == "http" and str(own.get("verify_key")).lower() != given.public_key:
            detail = "PUBLIC_KEY is not the public key of the application"
            raise DeliveryFailed(detail)
        return f"{visible_text(str(me.get('username')))} ({_id(me.get('id'))}), by {given.mode}"

    async def close(self) -> None:
        """Let go of connections."""
        await self.rest.close()

    async def _post(self, painted: Painted, recipient: str, seed: str) -> Posted:
        channel = await self._place(recipient)
        once = hashlib.sha256(f"{seed} {recipient} {painted.display}".encode()).hexdigest()[:25]
        body: JsonObject = {
            **painted.body, "allowed_mentions": NOBODY, "nonce": once, "enforce_nonce": True,
        }  # fmt: skip
        path = "/channels/{channel_id}/messages"
        answer = await self.rest.ask("POST", path, body, channel_id=channel)
        reference: dict[str, JsonValue] = {"channel": channel, "message": _id(answer.get("id"))}
        return Posted(reference, painted.display, complete=painted.complete)

    async def _place(self, recipient: str) -> str:
        """Return the channel to write into; a conversation is begun where there was none."""
        known = self._places.get(recipient)
        if known is not None:
            return known
        found = _RECIPIENT.fullmatch(recipient)
        if found is None:
            detail = "not a place in Discord; those are user:ID and channel:ID"
            raise DeliveryFailed(detail, permanent=True)
        kind, number = found.groups()
        place = await (self._channel(number) if kind == "channel" else self._conversation(number))
        if len(self._places) >= _KEPT:
            self._places.clear()
        self._places[recipient] = place
        return place

    async def _conversation(self, user: str) -> str:
        answer = await self.rest.ask("POST", "/users/@me/channels", {"recipient_id": user})
        return _id(answer.get("id"))

    async def _channel(self, number: str) -> str:
        if self._settings.allowed:
            found = await self.rest.ask("GET", "/channels/{channel_id}", channel_id=number)
            if found.get("guild_id") not in self._settings.allowed:
                detail = "the channel is not of a Discord server that is allowed here"
                raise DeliveryFailed(detail, permanent=True)
        return number


def _id(value: JsonValue) -> str:
    if not (isinstance(value, str) and _ID.fullmatch(value)):
        detail = "Discord did not answer as documented"
        raise DeliveryFailed(detail)
    return value
