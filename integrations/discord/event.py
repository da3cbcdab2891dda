"""What a person did, read from an interaction; the same from the gateway and from a post.

See "Interaction Object" in Discord's documents. Names are only ever shown (T17).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from app.core.json_types import JsonObject, JsonValue
from app.core.ports import Account

PING: Final = 1
COMMAND: Final = 2
PRESS: Final = 3
FORM: Final = 5

_ID: Final = re.compile(r"[0-9]{1,20}")
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,1000}")
_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class Event:
    """Something that somebody did.

    :ivar token: with which this is answered; a secret for fifteen minutes.
    :ivar guild: the Discord server where it was done; empty in a conversation with the bot.
    :ivar bot: whether the account is a bot's or Discord's own.
    :ivar data: what was pressed, filled in or called.
    """

    kind: int
    id: str
    token: str
    application: str
    guild: str
    account: Account
    bot: bool
    data: JsonObject

    @property
    def custom_id(self) -> JsonValue:
        """The id of the control or form."""
        return self.data.get("custom_id")

    def field(self, name: str) -> str:
        """Return what was written into a field of a form; empty when there is none."""
        for part in _walk(self.data):
            value = part.get("value")
            if part.get("custom_id") == name and isinstance(value, str):
                return value.replace("\r\n", "\n")
        return ""

    def command(self) -> tuple[str, dict[str, JsonValue]]:
        """Return the name of a called command with its options, such as ``assentry show``."""
        words, options = [_text(self.data.get("name"))], _objects(self.data.get("options"))
        while options and options[0].get("type") in (1, 2):
            words.append(_text(options[0].get("name")))
            options = _objects(options[0].get("options"))
        return " ".join(words), {_text(at.get("name")): at.get("value") for at in options}


def read_event(payload: JsonObject) -> Event:
    """Return the event of an interaction.

    :raises ValueError: it is none that a person can cause.
    """
    kind = payload.get("type")
    if kind not in (COMMAND, PRESS, FORM):
        message = "no interaction of a kind that is handled here"
        raise ValueError(message)
    member = _object(payload.get("member"))
    user = _object(member.get("user") or payload.get("user"))
    guild = payload.get("guild_id")
    name = user.get("global_name") or user.get("username")
    account = Account("discord", _matched(_ID, user.get("id")), _text(name)[:_NAME])
    return Event(
        kind=cast("int", kind), id=_matched(_ID, payload.get("id")),
        token=_matched(_TOKEN, payload.get("token")),
        application=_matched(_ID, payload.get("application_id")),
        guild="" if guild is None else _matched(_ID, guild), account=account,
        bot=bool(user.get("bot") or user.get("system")), data=_object(payload.get("data")),
    )  # fmt: skip


def _walk(part: JsonObject) -> Iterator[JsonObject]:
    """Yield a form's components, however deep; labels and rows hold others."""
    yield part
    inner = part.get("component")
    for child in (*_objects(part.get("components")), *_objects([inner] if inner else [])):
        yield from _walk(child)


def _matched(form: re.Pattern[str], value: JsonValue) -> str:
    if not (isinstance(value, str) and form.fullmatch(value)):
        message = "no interaction as Discord documents it"
        raise ValueError(message)
    return value


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _objects(value: JsonValue) -> list[JsonObject]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return []
    return [item for item in value if isinstance(item, Mapping)]


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""
