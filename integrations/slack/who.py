"""Who pressed: only members of our own workspace, as Slack itself says (T17)."""

import time
from typing import Any, Final

from app.core.errors import AccountRefused
from app.core.ports import Account, DeliveryFailed
from integrations.slack.client import SlackClient

_KEPT: Final = 60.0
_MOST: Final = 5_000
_ELSEWHERE: Final = "People of other workspaces do not decide."
_KINDS: Final = (
    ("deleted", "This account is switched off in Slack."),
    ("is_bot", "Bots do not decide."),
    ("is_ultra_restricted", "Guests do not decide."),
    ("is_restricted", "Guests do not decide."),
    ("is_stranger", _ELSEWHERE),
)


class Members:
    """Asks Slack about accounts, and remembers the answer for a minute."""

    def __init__(self, client: SlackClient) -> None:
        """Know nobody yet."""
        self.client = client
        self._known: dict[str, tuple[float, str, str]] = {}

    async def name(self, account: Account) -> str:
        """Return what Slack calls a member.

        :raises AccountRefused: it is a guest, a bot, switched off, or of another workspace.
        """
        team, _, user = account.id.partition(":")
        try:
            if team != (await self.client.me()).team_id:
                raise AccountRefused(_ELSEWHERE)
            obstacle, name = await self._look(team, user)
        except DeliveryFailed as failure:
            message = f"Slack does not say who you are ({failure.detail}); use the page instead"
            raise AccountRefused(message) from None
        if obstacle:
            raise AccountRefused(obstacle)
        return name

    async def _look(self, team: str, user: str) -> tuple[str, str]:
        found = self._known.get(user)
        if found is not None and found[0] > time.monotonic():
            return found[1], found[2]
        answer = await self.client.call("users.info", user=user)
        member: dict[str, Any] = answer.get("user") or {}
        obstacle = next((text for key, text in _KINDS if member.get(key)), "")
        if member.get("team_id") != team:
            obstacle = _ELSEWHERE
        if len(self._known) >= _MOST:
            self._known.clear()
        name = str(member.get("real_name") or member.get("name") or "")
        self._known[user] = (time.monotonic() + _KEPT, obstacle, name)
        return obstacle, name
