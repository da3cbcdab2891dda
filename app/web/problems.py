"""From errors to answers: problem+json (RFC 9457). The one table of families and statuses."""

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from traceback import format_exception
from typing import Any, Final

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

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
    (errors.Upstream, 502, "Upstream failed"),
    (errors.Unavailable, 503, "Unavailable"),
)
"""The first row whose class fits gives status and title."""

ROUTING: Final[Mapping[int, tuple[str, str]]] = {
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take this method."),
    413: ("payload_too_large", "The body is larger than the server accepts."),
}
"""What is refused before anything of the product is asked: code and sentence by status."""
_FOR_PROGRAMS: Final = ("/api/", "/gateway/")
_BROKEN: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Broken – Assentry</title>'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<link rel="stylesheet" href="/static/assentry.css"></head><body><main><section class="narrow">'
    "<h1>That did not work</h1><p>{}</p><p>Look at the page again before you repeat anything.</p>"
    '<p><a href="/">Back to the inbox</a></p></section></main></body></html>'
)
_RETRIED: Final = frozenset({429, 503})

log = structlog.get_logger()


_RENAMED: Final = {"status": "request_status"}
"""What an error says under a name that a problem document has for itself (RFC 9457)."""


def status_of(error: errors.AssentryError) -> int:
    """Return the HTTP status of an error."""
    return next((status for family, status, _ in FAMILIES if isinstance(error, family)), 500)


def problem(error: errors.AssentryError, instance: str = "") -> Response:
    """Return the answer for an expected error.

    :param instance: the id of the call, which the answer's header carries too.
    """
    status, title = next(
        ((status, title) for family, status, title in FAMILIES if isinstance(error, family)),
        (500, "Error"),
    )
    document: dict[str, Any] = {
        **{_RENAMED.get(name, name): value for name, value in error.extra.items()},
        "type": f"/problems/{error.code}",
        "title": title,
        "status": status,
        "code": error.code,
        "detail": error.detail,
    }
    if instance:
        document["instance"] = instance
    if error.pointer:
        document["pointer"] = error.pointer
    headers: dict[str, str] = {}
    after = error.retry_after
    if after is None and status in _RETRIED:
        after = 1
    if after is not None:
        document["retry_after"] = after
        headers["Retry-After"] = str(max(1, ceil(after)))
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


def instance_of(request: Request) -> str:
    """Return the id of a call."""
    return str(request.scope.get("state", {}).get("request_id", ""))


async def on_error(request: Request, error: Exception) -> Response:
    """Answer an expected error."""
    assert isinstance(error, errors.AssentryError)
    return problem(error, instance_of(request))


def routing(error: HTTPException) -> tuple[str, str]:
    """Return code and words of what the router itself refuses."""
    return ROUTING.get(error.status_code, ("http_error", str(error.detail)))


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the router itself refuses."""
    assert isinstance(error, HTTPException)
    code, detail = routing(error)
    document = {
        "type": f"/problems/{code}",
        "title": HTTPStatus(error.status_code).phrase,
        "status": error.status_code,
        "code": code,
        "detail": detail,
        "instance": instance_of(request),
    }
    return answer(document, error.status_code, error.headers)


async def on_validation(request: Request, error: Exception) -> Response:
    """Answer input that does not have its type, naming every place."""
    assert isinstance(error, RequestValidationError)
    places = ["/" + "/".join(str(part) for part in found["loc"]) for found in error.errors()]
    message = f"{places[0]}: {error.errors()[0]['msg']}"
    refused = errors.InvalidField(message, pointer=places[0], extra={"pointers": places})
    return problem(refused, instance_of(request))


def wants_page(scope: Scope) -> bool:
    """Whether a browser asks for a page, and not a program for an answer."""
    if scope["path"].startswith(_FOR_PROGRAMS):
        return False
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def bug(error: Exception, number: str, *, page: bool = False) -> Response:
    """Return the answer to what nobody expected: logged once, under the id that it carries.

    :param page: for a browser; the page needs nothing that may be what fails.
    """
    trace = "".join(format_exception(error))  # text, so that no renderer adds local variables
    log.error("bug", bug=number, exception=trace)
    detail = f"Something went wrong here; the log has it under {number}."
    if page:
        return HTMLResponse(_BROKEN.format(detail), 500)
    document = {
        "type": "/problems/internal",
        "title": "Internal error",
        "status": 500,
        "code": "internal",
        "detail": detail,
        "instance": number,
    }
    return answer(document, 500)
