"""Settings of Slack, ``ASSENTRY_SLACK_*``."""

import re
from ipaddress import ip_address
from typing import ClassVar, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from app.settings import PartSettings

_APP_TOKEN: Final = re.compile(r"xapp-\d+-(A[A-Z0-9]+)-\S+")
_APP_ID: Final = re.compile(r"A[A-Z0-9]{5,}")


class SlackSettings(PartSettings):
    """How Slack is reached; on when the bot's token is set.

    With ``app_token`` Slack is listened to over Socket Mode, which needs no public address;
    otherwise Slack posts to ``/integrations/slack``, and ``signing_secret`` proves that it does.
    """

    PREFIX: ClassVar[str] = "ASSENTRY_SLACK_"

    bot_token: SecretStr = Field(
        default=SecretStr(""),
        description="The bot's token, `xoxb-...`; empty leaves Slack off. May be given as a file.",
    )
    app_token: SecretStr = Field(
        default=SecretStr(""),
        description="The application's token, `xapp-...`; turns Socket Mode on.",
    )
    signing_secret: SecretStr = Field(
        default=SecretStr(""),
        description="The signing secret, where Slack posts to `/integrations/slack` instead.",
    )
    app_id: str = Field(
        default="", description="The application's id, `A...`; with `APP_TOKEN` it is known."
    )
    command: str = Field(default="/assentry", description="The slash command, as Slack knows it.")
    api_url: str = Field(
        default="https://slack.com/api/", description="Address of Slack's Web API."
    )
    timeout: float = Field(
        default=10.0, gt=0, le=30, description="Seconds that Slack may take for an answer."
    )

    @field_validator("api_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
            message = "must be an https address"
            raise ValueError(message)
        return value if value.endswith("/") else f"{value}/"

    @field_validator("command")
    @classmethod
    def _check_command(cls, value: str) -> str:
        if not re.fullmatch(r"/[a-z0-9_-]{1,31}", value):
            message = "must be a slash and a word, such as /assentry"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.enabled:
            return self
        if not (self.app_token.get_secret_value() or self.signing_secret.get_secret_value()):
            message = "set APP_TOKEN (Socket Mode) or SIGNING_SECRET (Slack posts to us)"
            raise ValueError(message)
        if self.app_token.get_secret_value() and not self._token_app:
            message = "APP_TOKEN is not an application's token; those begin with xapp-"
            raise ValueError(message)
        if not _APP_ID.fullmatch(self.own_app):
            message = "APP_ID must be the application's id, A..., from its page at Slack"
            raise ValueError(message)
        return self

    @property
    def enabled(self) -> bool:
        """Whether Slack is used."""
        return bool(self.bot_token.get_secret_value())

    @property
    def socket_mode(self) -> bool:
        """Whether we call Slack, instead of Slack us."""
        return bool(self.app_token.get_secret_value())

    @property
    def own_app(self) -> str:
        """The application's id: as set, or as its token has it."""
        return self.app_id or self._token_app

    @property
    def _token_app(self) -> str:
        found = _APP_TOKEN.fullmatch(self.app_token.get_secret_value())
        return found[1] if found else ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
