"""Settings of Discord, ``ASSENTRY_DISCORD_*``."""

import re
from ipaddress import ip_address
from typing import ClassVar, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from app.settings import PartSettings

API_URL: Final = "https://discord.com/api/v10"
"""Address of Discord's REST interface, in the version that discord.py speaks."""

_ID: Final = re.compile(r"[0-9]{1,20}")
_KEY: Final = re.compile(r"[0-9a-fA-F]{64}")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


class DiscordSettings(PartSettings):
    """How Discord is reached; on when the bot's token is set.

    Presses come over the gateway, which needs no public address; or Discord posts them to
    ``/integrations/discord``, and ``public_key`` proves that it does.
    """

    PREFIX: ClassVar[str] = "ASSENTRY_DISCORD_"

    token: SecretStr = Field(
        default=SecretStr(""),
        description="The bot's token; empty leaves Discord off. May be given as a file.",
    )
    mode: Literal["gateway", "http"] = Field(
        default="gateway",
        description="`gateway` holds a connection to Discord; with `http` Discord posts to "
        "`/integrations/discord`.",
    )
    application_id: str = Field(
        default="", description="The application's id; needed with `http`, checked if it is set."
    )
    public_key: str = Field(
        default="", description="The application's public key, 64 hexadecimal digits, for `http`."
    )
    guilds: str = Field(
        default="",
        description="Ids, separated by commas, of the only Discord servers whose members may "
        "press; empty leaves it to who is linked.",
    )
    api_url: str = Field(default=API_URL, description="Address of Discord's REST interface.")
    timeout: float = Field(
        default=10.0, gt=0, le=15, description="Seconds that Discord may take for an answer."
    )

    @field_validator("token")
    @classmethod
    def _check_token(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if text and not _TOKEN.fullmatch(text):
            message = "must be the bot's token alone, without spaces or `Bot`"
            raise ValueError(message)
        return value

    @field_validator("application_id")
    @classmethod
    def _check_id(cls, value: str) -> str:
        if value and not _ID.fullmatch(value):
            message = "must be a number, from the application's page at Discord"
            raise ValueError(message)
        return value

    @field_validator("public_key")
    @classmethod
    def _check_key(cls, value: str) -> str:
        if value and not _KEY.fullmatch(value):
            message = "must be 64 hexadecimal digits, from the application's page at Discord"
            raise ValueError(message)
        return value.lower()

    @field_validator("guilds")
    @classmethod
    def _check_guilds(cls, value: str) -> str:
        if not all(_ID.fullmatch(part.strip()) for part in value.split(",") if value):
            message = "must be ids of Discord servers, which are numbers, separated by commas"
            raise ValueError(message)
        return value

    @field_validator("api_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        parts = urlsplit(value)
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
        safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
        if not (parts.hostname and plain and safe):
            message = "must be an https address, such as https://discord.com/api/v10"
            raise ValueError(message)
        return value.rstrip("/")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.enabled and (self.application_id or self.public_key or self.guilds):
            message = "TOKEN must be the bot's token, from the application's page at Discord"
            raise ValueError(message)
        if self.enabled and self.mode == "http" and not (self.application_id and self.public_key):
            message = "MODE http needs APPLICATION_ID and PUBLIC_KEY, to know Discord's posts"
            raise ValueError(message)
        return self

    @property
    def enabled(self) -> bool:
        """Whether Discord is used."""
        return bool(self.token.get_secret_value())

    @property
    def allowed(self) -> tuple[str, ...]:
        """The ids of the only servers whose members may press; empty for all."""
        return tuple(part.strip() for part in self.guilds.split(",")) if self.guilds else ()


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"
