"""Strict JSON bodies: checked type, capped size, strict text, exact shape (threats T24, T36)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeVar, cast

import msgspec
from starlette.requests import ClientDisconnect, Request

from app.core.call_errors import BodyTooLarge
from app.core.errors import (
    MalformedJson,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from app.core.json_types import JsonObject
from app.core.strict_json import parse_json
from app.services.spooling import Share, Spooled, spool
from app.web.deps import services_of
from app.web.misfits import misfit

T = TypeVar("T")

_LENGTH_DIGITS: Final = 18
_JSON: Final = "application/json"


async def raw(request: Request, most: int) -> bytes:
    """Return the body, reading no more than is allowed.

    :raises PayloadTooLarge: it is longer than ``most`` bytes.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > _LENGTH_DIGITS or int(length) > most):
        raise _too_large(most)
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


async def content(
    request: Request, memory: int, most: int, room: Callable[[], Awaitable[Share]]
) -> bytes | Spooled:
    """Return the body of a call that is passed on; a large one as a file without a name.

    :param memory: bytes that are held in memory.
    :param room: returns the room for a large one, or refuses it.
    :raises BodyTooLarge: it is longer than ``most`` bytes.
    """
    check_length(request, most)
    pieces = _pieces(request, most)
    begun = bytearray()
    async for piece in pieces:
        begun += piece
        if len(begun) > memory:
            share = await room()
            share.grow(_said(request) or len(begun))
            return await spool(bytes(begun), pieces, share)
    return bytes(begun)


def _said(request: Request) -> int:
    """Return the length that a body says it has; 0 when it does not."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def check_length(request: Request, most: int) -> None:
    """Refuse a body that says that it is too long, before it is read.

    :raises BodyTooLarge: it does.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > _LENGTH_DIGITS or int(length) > most):
        raise _body_too_large(most)


async def _pieces(request: Request, most: int) -> AsyncIterator[bytes]:
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise _body_too_large(most)
        if piece:
            yield piece


def _body_too_large(most: int) -> BodyTooLarge:
    message = f"The target takes bodies of at most {most} bytes."
    return BodyTooLarge(message, pointer="/body", extra={"most": most})


def _too_large(most: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {most} bytes.")


def _says_json(said: str) -> bool:
    kind, _, rest = said.partition(";")
    charset = rest.strip().lower().removeprefix("charset=").strip('"')
    return kind.strip().lower() == _JSON and charset in ("", "utf-8")


async def document(request: Request) -> tuple[JsonObject, bytes]:
    """Return the JSON object of a body and its bytes.

    :raises UnsupportedMediaType: it was not sent as application/json in UTF-8.
    :raises MalformedJson: it is not a strict JSON object.
    """
    said = request.headers.get("content-type", "")
    if said != _JSON and not _says_json(said):
        raise UnsupportedMediaType
    data = await raw(request, services_of(request).settings.max_body_bytes)
    value = parse_json(data)
    if not isinstance(value, dict):
        message = "the body must be a JSON object"
        raise MalformedJson(message)
    return cast("JsonObject", value), data


def shaped(value: object, shape: type[T]) -> T:
    """Return a value as the given struct; no coercion, no unknown fields.

    :raises InvalidField: with a pointer to the first thing that does not fit.
    """
    try:
        return msgspec.convert(value, shape, strict=True)
    except msgspec.ValidationError as error:
        raise misfit(error, shape) from error


async def read(request: Request, shape: type[T]) -> T:
    """Return a request's body as the given struct."""
    value, _ = await document(request)
    return shaped(value, shape)


class Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A body: unknown fields are refused."""


def optional(struct: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a partial update that were given."""
    return {
        name: value
        for name in struct.__struct_fields__
        if (value := getattr(struct, name)) is not msgspec.UNSET
    }
