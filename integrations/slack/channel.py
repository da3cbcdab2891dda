"""Posts and changes cards in Slack; every decision happens elsewhere."""

import re
from typing import ClassVar, Final

from app.core.approval_card import ApprovalCard
from app.core.json_types import JsonObject, JsonValue
from app.core.ports import DeliveryFailed, Digest, Posted
from integrations.slack.client import SlackClient
from integrations.slack.paint import Message, digest_message, message

_ADDRESS: Final = re.compile(r"(?:(T[A-Z0-9]+):)?([UWCGD][A-Z0-9]+)")


class SlackChannel:
    """Shows cards in Slack. A recipient is ``T…:U…`` (a direct message) or ``C…`` (a channel).

    :ivar client: what calls Slack; the way in uses the same.
    """

    name: ClassVar[str] = "slack"
    wants_link: ClassVar[bool] = False

    def __init__(self, client: SlackClient) -> None:
        """Remember the client."""
        self.client = client

    async def deliver(self, card: ApprovalCard, recipient: str) -> Posted:
        """Post a card.

        :raises DeliveryFailed: it was not taken.
        """
        made = message(card)
        return _posted(made, await self._post(made, recipient))

    async def refresh(
        self,
        card: ApprovalCard,
        recipient: str,  # noqa: ARG002 - the port's; the reference says where
        reference: JsonObject,
    ) -> Posted:
        """Change an earlier message to what the card says now.

        :raises DeliveryFailed: it was not changed.
        """
        made = message(card)
        place: dict[str, JsonValue] = {name: reference.get(name) for name in ("channel", "ts")}
        await self.client.call("chat.update", **place, **made.arguments)
        return _posted(made, place)

    async def digest(self, digest: Digest, recipient: str) -> Posted:
        """Post a list of what waits.

        :raises DeliveryFailed: it was not taken.
        """
        made = digest_message(digest)
        return _posted(made, await self._post(made, recipient))

    async def check(self) -> str:
        """Return which bot we are, and where.

        :raises DeliveryFailed: Slack does not answer, or does not know us.
        """
        found = await self.client.me()
        return f"@{found.user} in {found.team} ({found.team_id})"

    async def close(self) -> None:
        """Let go of connections."""
        await self.client.close()

    async def _post(self, made: Message, recipient: str) -> JsonObject:
        place = await self._place(recipient)
        answer = await self.client.call("chat.postMessage", channel=place, **made.arguments)
        return {"channel": str(answer.get("channel", place)), "ts": str(answer.get("ts", ""))}

    async def _place(self, recipient: str) -> str:
        found = _ADDRESS.fullmatch(recipient)
        if found is None:
            message = "not an address in Slack; those are T…:U… or C…"
            raise DeliveryFailed(message, permanent=True)
        team, place = found.groups()
        if team is not None and team != (await self.client.me()).team_id:
            message = "the account is of another workspace than our bot"
            raise DeliveryFailed(message, permanent=True)
        return place


def _posted(made: Message, reference: JsonObject) -> Posted:
    painted = made.painted
    return Posted(reference, painted.display, complete=painted.complete)
