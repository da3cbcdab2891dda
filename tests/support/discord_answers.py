"""What an application makes of an interaction: its callback, and what follows with the token."""

from typing import Any, Final

from tests.support.discord_limits import Refused, check_message, check_modal
from tests.support.discord_message import EPHEMERAL, LOADING, Attachment, Message
from tests.support.discord_messages import Messages, check_body
from tests.support.discord_people import JSON
from tests.support.discord_world import COMMAND, COMPONENT, MODAL, SUGGESTION, Interaction, Modal

REPLY: Final = 4
DEFER: Final = 5
DEFER_UPDATE: Final = 6
UPDATE: Final = 7
SUGGESTIONS: Final = 8
OPEN_MODAL: Final = 9

_ALLOWED: Final = {
    COMMAND: {REPLY, DEFER, OPEN_MODAL},
    COMPONENT: {REPLY, DEFER, DEFER_UPDATE, UPDATE, OPEN_MODAL},
    SUGGESTION: {SUGGESTIONS},
    MODAL: {REPLY, DEFER},
}


class Answers:
    """Takes answers, over REST and from the endpoint's own."""

    def __init__(self, messages: Messages) -> None:
        """Write the answers' messages."""
        self.messages = messages
        self.world = messages.world

    def pending(self, interaction_id: int, token: str) -> Interaction:
        """Return an interaction that waits for its callback.

        :raises Refused: there is none, or none any more.
        """
        interaction = self.world.interactions.get(token)
        if interaction is None or interaction.id != interaction_id or interaction.late:
            raise Refused(404, 10062, "Unknown interaction")
        if interaction.response is not None:
            raise Refused(400, 40060, "Interaction has already been acknowledged.")
        return interaction

    async def take(self, interaction: Interaction, body: JSON, files: list[Attachment]) -> None:
        """Take a callback.

        :raises Refused: as Discord does; the interaction waits on.
        """
        kind: Any = body.get("type")
        data: JSON = body.get("data") or {}
        allowed = set(_ALLOWED[interaction.kind])
        if interaction.kind == MODAL and interaction.source is not None:
            allowed |= {DEFER_UPDATE, UPDATE}
        if kind not in allowed:
            listed = ", ".join(map(str, sorted(allowed)))
            error = {"code": "BASE_TYPE_CHOICES", "message": f"Value must be one of {{{listed}}}."}
            raise Refused(400, 50035, "Invalid Form Body", {"type": {"_errors": [error]}})
        if kind == REPLY:
            check_body(data, files, "data.")
            interaction.message = await self.messages.answer(interaction, data, files)
        elif kind == DEFER:
            flags = int(data.get("flags") or 0) & EPHEMERAL | LOADING
            interaction.message = await self.messages.answer(interaction, {"flags": flags}, [])
        elif kind in {DEFER_UPDATE, UPDATE}:
            interaction.message = await self._update(interaction, kind, data, files)
        elif kind == OPEN_MODAL:
            interaction.modal = self._open(interaction, data)
        interaction.response, interaction.data = kind, data

    async def _update(
        self, interaction: Interaction, kind: int, data: JSON, files: list[Attachment]
    ) -> Message:
        source = interaction.source
        assert source is not None
        if kind == UPDATE:
            check_message(data, "data.")
            await self.messages.edit(source, data, files)
        return source

    def _open(self, interaction: Interaction, data: JSON) -> Modal:
        check_modal(data)
        modal = Modal(
            interaction.user, data["custom_id"], data["title"], data["components"], interaction
        )
        self.world.modals.append(modal)
        return modal

    def callback_json(self, interaction: Interaction) -> JSON:
        """Return the interaction callback object, as ``with_response`` asks for it."""
        about: JSON = {"id": str(interaction.id), "type": interaction.kind}
        resource: JSON = {"type": interaction.response}
        message = interaction.message
        if message is not None:
            about |= {
                "response_message_id": str(message.id),
                "response_message_loading": message.loading,
                "response_message_ephemeral": message.ephemeral,
            }
            if interaction.response in {REPLY, UPDATE}:
                resource["message"] = message.json()
        return {"interaction": about, "resource": resource}

    def by_token(self, application_id: int, token: str) -> Interaction:
        """Return an answered interaction by its token.

        :raises Refused: the token is none, or its time is over.
        """
        interaction = self.world.interactions.get(token)
        if interaction is None or interaction.application_id != application_id:
            raise Refused(404, 10015, "Unknown Webhook")
        if interaction.expired:
            raise Refused(401, 50027, "Invalid Webhook Token")
        if interaction.response is None:
            raise Refused(404, 10015, "Unknown Webhook")
        return interaction

    def find(self, interaction: Interaction, message_id: str) -> Message:
        """Return the original answer, or a later one by its id.

        :raises Refused: there is none.
        """
        own = [*interaction.followups, *[x for x in [interaction.message] if x]]
        for message in own:
            wanted = message_id == str(message.id)
            original = message_id == "@original" and message is interaction.message
            if (wanted or original) and not message.deleted:
                return message
        raise Refused(404, 10008, "Unknown Message")

    async def follow(
        self, interaction: Interaction, body: JSON, files: list[Attachment]
    ) -> Message:
        """Post a further answer; the first one fills in what is "thinking".

        :raises Refused: as Discord does.
        """
        original = interaction.message
        if original is not None and original.loading and not original.deleted:
            return await self.messages.edit(original, body, files)
        check_body(body, files)
        message = await self.messages.answer(interaction, body, files)
        interaction.followups.append(message)
        return message
