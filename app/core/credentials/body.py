"""The kind that adds fields to a JSON body."""

from collections.abc import Mapping
from typing import Final

from app.core.credentials.base import Kind, has_control, is_utf8, refuse
from app.core.errors import InvalidField
from app.core.instant import Instant
from app.core.outcome import Injection

MAX_DEPTH: Final = 8
"""Most names on the way to a field."""


def path_of(name: str) -> tuple[str, ...]:
    """Return the way to a field: of a JSON pointer (RFC 6901) or of names with dots between them.

    :raises InvalidField: an empty name, or too deep.
    """
    if name.startswith("/"):
        parts = [part.replace("~1", "/").replace("~0", "~") for part in name[1:].split("/")]
    else:
        parts = name.split(".")
    if len(parts) > MAX_DEPTH or "" in parts or has_control(name) or not is_utf8(name):
        refuse(name, f"name the field as auth.key or /auth/key, at most {MAX_DEPTH} deep")
    return tuple(parts)


def _build(fields: Mapping[str, str], _now: Instant) -> Injection:
    paths = {path_of(name): value for name, value in fields.items()}
    for path in paths:
        inside = [other for other in paths if other != path and other[: len(path)] == path]
        if inside or len(paths) < len(fields):
            message = "two of the fields have the same place"
            raise InvalidField(message, pointer="/fields")
    return Injection(body=tuple(paths.items()), secrets=tuple(fields.values()))


KIND: Final = Kind(
    "body",
    "one or more fields of the JSON body",
    (),
    _build,
    lambda fields: tuple(f"body.{'.'.join(path_of(name))}=" for name in sorted(fields)),
)
