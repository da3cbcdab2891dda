"""Calls of Slack's Web API, with every failure in our own words."""

import re
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from app.core.ports import DeliveryFailed
from integrations.slack.settings import SlackSettings

_LIMITED: Final = 429
_WORD: Final = re.compile(r"[a-z_]{1,60}")
_FINAL: Final = frozenset(
    {
        "channel_not_found", "is_archived", "user_not_found", "users_not_found", "user_disabled",
        "cannot_dm_bot", "message_not_found", "cant_update_message", "edit_window_closed",
        "invalid_blocks", "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long",
        "invalid_arguments", "not_found",
    }
)  # fmt: skip
"""Answers that another try does not change; all others may be mended by an administrator."""


@dataclass(frozen=True, slots=True)
class Self:
    """Who the token says that we are."""

    team_id: str
    team: str
    user_id: str
    user: str


class SlackClient:
    """One session, opened when it is first used, shared by channel and way in."""

    def __init__(self, settings: SlackSettings) -> None:
        """Remember the settings; nothing is sent yet."""
        self.settings = settings
        self._web: AsyncWebClient | None = None
        self._session: aiohttp.ClientSession | None = None
        self._self: Self | None = None

    @property
    def web(self) -> AsyncWebClient:
        """The library's client; it is made in a running loop. Retries are the couriers' job."""
        if self._web is None:
            given = self.settings
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=given.timeout), trust_env=True
            )
            self._web = AsyncWebClient(
                given.bot_token.get_secret_value(), base_url=given.api_url,
                timeout=round(given.timeout) or 1, session=self._session, retry_handlers=[],
            )  # fmt: skip
        return self._web

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Call a method and return its answer.

        :raises DeliveryFailed: it was not done.
        """
        try:
            answer = await self.web.api_call(method, json=arguments)
        except SlackApiError as error:
            raise _refused(error) from None
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            detail = f"Slack could not be reached ({type(error).__name__})"
            raise DeliveryFailed(detail) from None
        found = answer.data
        return found if isinstance(found, dict) else {}

    async def me(self) -> Self:
        """Return who we are; asked once.

        :raises DeliveryFailed: Slack does not know us, or does not answer.
        """
        if self._self is None:
            found = await self.call("auth.test")
            names = (str(found.get(name, "")) for name in ("team_id", "team", "user_id", "user"))
            self._self = Self(*names)
        return self._self

    async def close(self) -> None:
        """Let go of the session."""
        if self._session is not None:
            await self._session.close()
        self._web = self._session = None


def _refused(error: SlackApiError) -> DeliveryFailed:
    answer = error.response
    if not isinstance(answer, AsyncSlackResponse):
        return DeliveryFailed("Slack answered something that is not JSON")
    if answer.status_code == _LIMITED:
        wait = _seconds(answer.headers.get("Retry-After", ""))
        return DeliveryFailed("Slack asks us to wait", retry_after=wait)
    word = str(answer.data.get("error", "")) if isinstance(answer.data, dict) else ""
    if not _WORD.fullmatch(word):
        return DeliveryFailed(f"Slack answered {answer.status_code}")
    return DeliveryFailed(f"Slack refuses: {word}", permanent=word in _FINAL)


def _seconds(text: str) -> float:
    return min(float(text), 3600.0) if text.isascii() and text.isdigit() else 30.0
