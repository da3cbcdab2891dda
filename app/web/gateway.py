"""``ANY /gateway/{target}/{path}``: agents call an upstream through us (GW-1, GW-2)."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.core.action import HTTP_REQUEST, Urgency
from app.core.asking import read_call
from app.core.errors import (
    AnswerTooLarge,
    AssentryError,
    Denied,
    Invalid,
    InvalidAction,
    NotCarriedOut,
    OutcomeUnknown,
)
from app.core.outcome import HttpResult
from app.core.paths import TRANSPORT_HEADERS
from app.core.principals import Scope as Right
from app.core.request import Request as Asking
from app.core.request import Status
from app.services.intake import Asked
from app.web.api.requests import accepted, preferred_wait
from app.web.bodies import raw
from app.web.deps import caller_of, remote_ip, services_of
from app.web.waiters import may_wait, waiter

HOME: Final = "/gateway/"
REQUEST_ID: Final = b"x-assentry-request"

_TARGET: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_REASON: Final = "x-assentry-reason"
_URGENCY: Final = "x-assentry-urgency"
_OURS: Final = TRANSPORT_HEADERS | {
    *("authorization", "cookie", "prefer", _REASON, _URGENCY),
    *("transfer-encoding", "expect", "upgrade", "trailer", "forwarded", "via"),
}
"""Headers that concern us or this connection: never for the upstream (T45)."""

_OURS_TOO: Final = ("proxy-", "x-forwarded-")
_BODILESS: Final = frozenset({204, 304})
_WAITS: Final = frozenset({Status.PENDING, Status.APPROVED, Status.EXECUTING})


async def call(request: Request) -> Response:
    """Carry a call through: answered, denied, or waiting for a person.

    :raises Denied: policy or a person says no.
    :raises NotCarriedOut: it was allowed, and nothing came of it.
    :raises OutcomeUnknown: bytes left, and no complete answer came.
    """
    caller = await caller_of(request)
    services = services_of(request)
    asked = await _asked(request)
    made, result = await services.inline.call(caller, asked, remote_ip(request))
    seconds = preferred_wait(request) if caller.may(Right.REQUEST_READ) else 0
    if made.status in _WAITS and seconds and may_wait(caller, services.settings):
        with waiter(caller, services.settings.max_waiters_per_key):
            made = await services.feed.wait(caller, made.id, seconds)
        result = await services.requests.result(caller, made.id) if made.final else None
    return _answer(request, made, result)


async def _asked(request: Request) -> Asked:
    target, path = _address(request.scope)
    body = await raw(request, services_of(request).settings.max_body_bytes)
    urgency = request.headers.get(_URGENCY, Urgency.NORMAL.value)
    if urgency not in set(Urgency):
        message = f"{_URGENCY} is one of {', '.join(Urgency)}"
        raise Invalid(message, pointer=f"/{_URGENCY}")
    headers = _passed_on(request.scope["headers"])
    return Asked(
        action=HTTP_REQUEST, params={}, context={}, target=target,
        reason=request.headers.get(_REASON, ""), urgency=Urgency(urgency),
        call=read_call(request.method, path, headers, body),
    )  # fmt: skip


def _address(scope: Scope) -> tuple[str, str]:
    """Return the target's name, and path and query as they came, byte for byte.

    :raises InvalidAction: the address is not of the form ``/gateway/{target}/{path}``.
    """
    home = HOME.encode()
    data: bytes = scope["raw_path"]
    name, slash, rest = data.removeprefix(home).partition(b"/")
    target = name.decode("latin-1")
    if not data.startswith(home) or not slash or not _TARGET.fullmatch(target):
        message = "the address is /gateway/, a target's name, and the path there"
        raise InvalidAction(message, pointer="/path")
    query: bytes = scope["query_string"]
    whole = b"/" + rest + (b"?" + query if query else b"")
    return target, whole.decode("latin-1")


def _passed_on(lines: list[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    """Yield the headers that are for the upstream, in their order."""
    texts = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in lines]
    named = {
        option.strip().lower()
        for name, value in texts
        if name == "connection"
        for option in value.split(",")
    }
    for name, value in texts:
        if name not in _OURS and name not in named and not name.startswith(_OURS_TOO):
            yield name, value


# --- what is answered ---


def _answer(request: Request, made: Asking, result: HttpResult | None) -> Response:
    if made.status in _WAITS:
        return accepted(made)
    if result is None or made.status not in (Status.SUCCEEDED, Status.FAILED):
        raise _refusal(made)
    if result.truncated:
        raise AnswerTooLarge(extra=_told(made))
    return _relayed(result, made, head=request.method == "HEAD")


def _relayed(result: HttpResult, made: Asking, *, head: bool) -> Response:
    """Return the upstream's answer, with the request's id."""
    response = Response(None if head else result.body, status_code=result.status)
    lines = [(name.encode("latin-1"), value.encode("latin-1", "replace"))
             for name, value in result.headers]  # fmt: skip
    if not head and result.status not in _BODILESS:
        lines.append((b"content-length", str(len(result.body)).encode()))
    response.raw_headers = [*lines, (REQUEST_ID, made.id.encode())]
    return response


def _refusal(made: Asking) -> AssentryError:
    extra = _told(made)
    if made.status is Status.DENIED:
        return Denied(extra=extra)
    if made.status is Status.UNKNOWN:
        return OutcomeUnknown(extra=extra)
    return NotCarriedOut(extra=extra)


def _told(made: Asking) -> dict[str, Any]:
    outcome: dict[str, Any] = json.loads(made.outcome) if made.outcome else {}
    reasons = json.loads(made.verdict).get("reasons", [])
    return {
        "request_id": made.id, "status": made.status.value, "reasons": reasons,
        "comment": made.comment, "outcome": outcome,
    }  # fmt: skip
