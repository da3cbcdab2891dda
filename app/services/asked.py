"""What an agent asks, as a door understood it, and the bounds of its words."""

from typing import Final

from msgspec import Struct

from app.core.action import HttpAction, Urgency
from app.core.canonical import canonical
from app.core.errors import InvalidField
from app.core.json_types import JsonObject

MAX_REASON: Final = 2000
MAX_CONTEXT_BYTES: Final = 65_536
MAX_EXPIRES_IN: Final = 30 * 86_400


class Asked(Struct, frozen=True):
    """What an agent asks, as a door understood it; every field is still to be judged.

    :ivar expires_in: seconds until the request expires undecided, or None.
    :ivar supersedes: id of an own pending request that this one replaces.
    :ivar idempotency_key: the caller's token for safe repetition, with ``fingerprint`` of the body.
    :ivar call: an HTTP call that a door read from the wire, instead of action and params.
    :ivar valid_for: seconds that a grant by policy lasts, where the door says so.
    :ivar body_id: where the detached body of the call was stored, once it was.
    """

    action: str
    params: JsonObject
    context: JsonObject
    reason: str = ""
    urgency: Urgency = Urgency.NORMAL
    target: str | None = None
    expires_in: int | None = None
    supersedes: str | None = None
    idempotency_key: str | None = None
    fingerprint: str = ""
    call: HttpAction | None = None
    valid_for: int | None = None
    body_id: str = ""


def check_words(asked: Asked) -> None:
    """Refuse words beyond their bounds.

    :raises InvalidField: with the pointer of what is too long.
    """
    if len(asked.reason) > MAX_REASON:
        message = f"a reason has at most {MAX_REASON} characters"
        raise InvalidField(message, pointer="/reason")
    if asked.expires_in is not None and not 1 <= asked.expires_in <= MAX_EXPIRES_IN:
        message = f"expires_in is a number of seconds from 1 to {MAX_EXPIRES_IN}"
        raise InvalidField(message, pointer="/expires_in")


def check_context(context: JsonObject) -> None:
    """Refuse a context beyond its bound.

    :raises InvalidField: it is too large.
    """
    if len(canonical(context)) > MAX_CONTEXT_BYTES:
        message = f"the context is larger than {MAX_CONTEXT_BYTES} bytes"
        raise InvalidField(message, pointer="/context")
