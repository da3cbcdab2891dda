"""From errors to answers: problem+json (RFC 9457). The one table of families and statuses."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.core import errors

MEDIA_TYPE: Final = "application/problem+json"

FAMILIES: Final[tuple[tuple[type[errors.AssentryError], int, str], ...]] = (
    (errors.PayloadTooLarge, 413, "Payload too large"),
    (errors.UnsupportedMediaType, 415, "Unsupported media type"),
    (errors.IdempotencyMismatch, 422, "Idempotency-Key was used before"),
    (errors.Invalid, 400, "Invalid input"),
    (errors.Unauthenticated, 401, "Authentication needed"),
    (errors.Forbidden, 403, "Not allowed"),
    (errors.NotFound, 404, "Not found"),
    (errors.Conflict, 409, "Conflict"),
    (errors.Limited, 429, "Too many calls"),
    (errors.Unavailable, 503, "Unavailable"),
)
"""The first row whose class fits gives status and title."""

_ROUTING: Final[Mapping[int, tuple[str, str]]] = {
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take this method."),
}

log = structlog.get_logger()


def status_of(error: errors.AssentryError) -> int:
    """Return the HTTP status of an error."""
    return next((status for family, status, _ in FAMILIES if isinstance(error, family)), 500)


def problem(error: errors.AssentryError) -> Response:
    """Return the answer for an expected error."""
    status, title = next(
        ((status, title) for family, status, title in FAMILIES if isinstance(error, family)),
        (500, "Error"),
    )
    document: dict[str, Any] = {
        **error.extra,
        "type": f"/problems/{error.code}",
        "title": title,
        "status": status,
        "code": error.code,
        "detail": error.detail,
    }
    if error.pointer:
        document["pointer"] = error.pointer
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        document["retry_after"] = error.retry_after
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if status == 401:  # noqa: PLR2004 - RFC 9110 section 15.5.2
        headers["WWW-Authenticate"] = 'Bearer realm="assentry"'
    return answer(document, status, headers)


def answer(
    document: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a problem document as an answer."""
    return Response(
        orjson.dumps(document), status_code=status, headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )  # fmt: skip


async def on_error(_request: Request, error: Exception) -> Response:
    """Answer an expected error."""
    assert isinstance(error, errors.AssentryError)
    return problem(error)


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Answer what the router itself refuses."""
    assert isinstance(error, HTTPException)
    code, detail = _ROUTING.get(error.status_code, ("http_error", str(error.detail)))
    document = {
        "type": f"/problems/{code}",
        "title": detail,
        "status": error.status_code,
        "code": code,
        "detail": detail,
    }
    return answer(document, error.status_code, error.headers)


async def on_validation(_request: Request, error: Exception) -> Response:
    """Answer path and query parameters that do not have their type."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = "/".join(str(part) for part in first["loc"])
    return problem(errors.InvalidFilter(f"{where}: {first['msg']}", pointer=f"/{where}"))


async def on_bug(_request: Request, error: Exception) -> Response:
    """Answer what nobody expected: logged once, under an id that the answer carries."""
    number = secrets.token_hex(8)
    log.error("bug", bug=number, exc_info=error)
    document = {
        "type": "/problems/internal",
        "title": "Internal error",
        "status": 500,
        "code": "internal",
        "detail": f"Something went wrong here; the log has it under {number}.",
        "instance": number,
    }
    return answer(document, 500)
