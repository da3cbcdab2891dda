"""Opaque cursors of keyset pages: direction and id, with a checksum over their list."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final, Literal

from app.core.errors import InvalidCursor

_SUM: Final = 6
_SHAPE: Final = re.compile(rb"[<>][a-z0-9_]{1,60}")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: older (``before``) or newer (``after``) than an id."""

    direction: Literal["before", "after"]
    id: str


def encode(cursor: Cursor, of: str) -> str:
    """Return the text of a cursor; ``of`` names the list and its filters."""
    data = ("<" if cursor.direction == "before" else ">").encode() + cursor.id.encode()
    return base64.urlsafe_b64encode(_checksum(data, of) + data).decode().rstrip("=")


def decode(text: str, of: str) -> Cursor:
    """Return the cursor that a text holds.

    :raises InvalidCursor: it was not made for this list.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor(pointer="/cursor") from error
    data = raw[_SUM:]
    if raw[:_SUM] != _checksum(data, of) or not _SHAPE.fullmatch(data):
        raise InvalidCursor(pointer="/cursor")
    direction = "before" if data[:1] == b"<" else "after"
    return Cursor(direction, data[1:].decode())


def number_of(cursor: Cursor) -> int:
    """Return the number that a cursor of a numbered list holds; anybody can make a cursor.

    :raises InvalidCursor: it is no number, or one that no list reaches.
    """
    if not _NUMBER.fullmatch(cursor.id):
        raise InvalidCursor(pointer="/cursor")
    return int(cursor.id)


def _checksum(data: bytes, of: str) -> bytes:
    return hashlib.sha256(of.encode() + b"\x00" + data).digest()[:_SUM]
