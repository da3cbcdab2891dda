"""Settings of mail, ``ASSENTRY_EMAIL_*``."""

import re
from typing import ClassVar, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from app.settings import PartSettings

_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
_LONGEST: Final = 254
_WORD: Final = r"""[^\s<>()\[\]\\,;:@".]+"""
_ADDRESS: Final = re.compile(rf"{_WORD}(?:\.{_WORD})*@{_WORD}(?:\.{_WORD})*")


def is_address(text: str) -> bool:
    """Whether a text is one plain address, such as ``gate@example.org``."""
    return len(text) <= _LONGEST and text.isprintable() and _ADDRESS.fullmatch(text) is not None


class EmailSettings(PartSettings):
    """How mail is sent; on when host and sender are set."""

    PREFIX: ClassVar[str] = "ASSENTRY_EMAIL_"

    host: str = Field(default="", description="Name of the mail server; empty leaves mail off.")
    port: int = Field(
        default=0, ge=0, le=65535, description="Its port; 0 takes 587, 465 or 25 by security."
    )
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="`starttls`, `tls` from the first byte, or `none` (a relay on this machine).",
    )
    username: str = Field(default="", description="Name to sign in with; empty does not.")
    password: SecretStr = Field(
        default=SecretStr(""), description="Password to sign in with. May be given as a file."
    )
    sender: str = Field(default="", description="Address that mail comes from.")
    sender_name: str = Field(default="Assentry", description="Name beside that address.")
    reply_to: str = Field(
        default="", description="Address that replies go to; empty means the sender's."
    )
    timeout: float = Field(
        default=15.0, gt=0, le=30, description="Seconds that the server may take for a step."
    )

    @field_validator("sender_name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if not value.isprintable():
            message = "must be one printable line"
            raise ValueError(message)
        return value

    @field_validator("sender", "reply_to")
    @classmethod
    def _check_address(cls, value: str) -> str:
        if value and not (value.isascii() and is_address(value)):
            message = "must be one plain address, such as gate@example.org"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.host and not self.sender:
            message = "SENDER must be the address that mail comes from, such as gate@example.org"
            raise ValueError(message)
        if bool(self.username) != bool(self.password.get_secret_value()):
            message = "USERNAME and PASSWORD are set together or not at all"
            raise ValueError(message)
        return self

    @property
    def enabled(self) -> bool:
        """Whether mail is sent."""
        return bool(self.host)

    @property
    def real_port(self) -> int:
        """The port, with the default of the security filled in."""
        return self.port or _PORTS[self.security]
