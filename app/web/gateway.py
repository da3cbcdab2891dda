"""``ANY /gateway/{target}/{path}``: agents call an upstream through us (GW-1, GW-2)."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from msgspec import structs
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.core.action import HTTP_REQUEST, Urgency
from app.core.asking import read_call, read_opening
from app.core.call_errors import UpgradeRefused
from app.core.errors import (
    AnswerTooLarge,
    AssentryError,
    Invalid,
    InvalidAction,
)
from app.core.outcome import HttpResult
from app.core.paths import TRANSPORT_HEADERS
from app.core.principals import Caller
from app.core.principals import Scope as Right
from app.core.request import Request as Asking
from app.core.request import Status
from app.services.intake import Asked
from app.services.spooling import Spooled
from app.web.api.requests import accepted, preferred_wait
from app.web.bodies import content
from app.web.deps import caller_of, remote_ip, services_of
from app.web.problems import on_error
from app.web.refusals import refusal, told
from app.web.relaying import CallerRelay, encoded, watched
from app.web.sockets import SOCKET, Socket, SocketRelay
from app.web.waiters import may_wait, waiter

HOME: Final = "/gateway/"

_TARGET: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_REASON: Final = "x-assentry-reason"
_URGENCY: Final = "x-assentry-urgency"
_URGENCIES: Final = frozenset(Urgency)
_USUAL: Final = Urgency.NORMAL.value
_OURS: Final = TRANSPORT_HEADERS | {
    *("authorization", "cookie", "prefer", _REASON, _URGENCY),
    *("transfer-encoding", "expect", "upgrade", "trailer", "forwarded", "via"),
    *("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"),
}
"""Headers that concern us or this connection: never for the upstream (T45)."""

_OURS_TOO: Final = ("proxy-", "x-forwarded-")
_CLEARTEXT: Final = "h2c"
"""An offer of HTTP/2 that a server may ignore, and we do (RFC 9113 dropped it)."""

_APPLIED: Final = b"preference-applied"
_BODILESS: Final = frozenset({204, 304})
_WAITS: Final = frozenset({Status.PENDING, Status.APPROVED, Status.EXECUTING})


async def call(request: Request) -> "Carried":
    """Carry a call through: answered, denied, or waiting for a person.

    :raises Denied: policy or a person says no.
    :raises NotCarriedOut: it was allowed, and nothing came of it.
    :raises OutcomeUnknown: bytes left, and no complete answer came.
    """
    caller = await caller_of(request)
    head = _asked(request)
    if SOCKET in request.scope:
        return Carried(request, caller, head)
    body = await _body(request, caller, head)
    if isinstance(body, Spooled):
        return Carried(request, caller, _with(head, detached=body.body), body)
    return Carried(request, caller, _with(head, body=body) if body else head)


class Carried(Response):
    """The answer to a call: it is carried out while it is answered."""

    def __init__(
        self, request: Request, caller: Caller, asked: Asked, content: Spooled | None = None
    ) -> None:
        """Keep what is asked; a large body is given up when it is answered."""
        super().__init__()
        self._content = content
        self._request = request
        self._caller = caller
        self._asked = asked
        self._socket: Socket | None = request.scope.get(SOCKET)
        self._relay: CallerRelay | SocketRelay | None = None
        self._waited = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry the call out and answer it."""
        try:
            response = await watched(receive, self._hang_up, self._answered(send))
        finally:
            if self._content is not None:
                self._content.close()
        if response is None:
            return
        if self._waited:
            _say_applied(response, self._waited)
        await response(scope, receive, send)

    async def _answered(self, send: Send) -> Response | None:
        """Return what to answer, or nothing where an answer was passed on (or broke off)."""
        try:
            made, result = await self._carry(send)
            if self._relay is None or not self._relay.begun:
                return _answer(self._request, made, result)
        except AssentryError as error:
            return await on_error(self._request, error)
        passed = None if result is None else result.passed
        if self._socket is not None or (passed is not None and not passed.cut):
            await self._relay.end()
        return None

    async def _carry(self, send: Send) -> tuple[Asking, HttpResult | None]:
        def taken(made: Asking) -> CallerRelay | SocketRelay:
            socket = self._socket
            self._relay = CallerRelay(send, made.id) if socket is None else socket.relay(made.id)
            return self._relay

        request, caller = self._request, self._caller
        services = services_of(request)
        made, result = await services.inline.call(
            caller, self._asked, remote_ip(request), taken, self._content
        )
        seconds = preferred_wait(request) if caller.may(Right.REQUEST_READ) else 0
        if made.status in _WAITS and seconds and may_wait(caller, services.settings):
            self._waited = seconds
            with waiter(caller, services.settings.max_waiters_per_key):
                made = await services.feed.wait(caller, made.id, seconds)
            result = await services.requests.result(caller, made.id) if made.final else None
        return made, result

    def _hang_up(self) -> None:
        if self._relay is not None:
            self._relay.hang_up()


async def _body(request: Request, caller: Caller, head: Asked) -> bytes | Spooled:
    """Return the body; what the call is refused for anyway is refused before it is read."""
    length = request.headers.get("content-length", "0")
    if length == "0" and "transfer-encoding" not in request.headers:
        return b""
    services = services_of(request)
    most = await services.intake.body_limit(caller, head)
    memory = min(services.settings.max_body_bytes, most)
    return await content(request, memory, most, lambda: services.inline.room_for(caller, head))


def _with(head: Asked, **changes: Any) -> Asked:
    call = None if head.call is None else replace(head.call, **changes)
    return structs.replace(head, call=call)


def _asked(request: Request) -> Asked:
    target, path = _address(request.scope)
    lines = [(name.decode("latin-1").lower(), value.decode("latin-1"))
             for name, value in request.scope["headers"]]  # fmt: skip
    said = dict(reversed(lines))
    opens = SOCKET in request.scope
    if not opens and said.get("upgrade", _CLEARTEXT).lower() != _CLEARTEXT:
        raise UpgradeRefused
    urgency = said.get(_URGENCY, _USUAL)
    if urgency not in _URGENCIES:
        message = f"{_URGENCY} is one of {', '.join(Urgency)}"
        raise Invalid(message, pointer=f"/{_URGENCY}")
    passed = _passed_on(lines)
    return Asked(
        action=HTTP_REQUEST, params={}, context={}, target=target,
        reason=said.get(_REASON, ""), urgency=Urgency(urgency),
        call=read_opening(path, passed) if opens else read_call(request.method, path, passed, b""),
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


def _passed_on(lines: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the headers that are for the upstream, in their order."""
    options = ",".join([value for name, value in lines if name == "connection"])
    named = {option.strip().lower() for option in options.split(",")}
    for name, value in lines:
        if name not in _OURS and name not in named and not name.startswith(_OURS_TOO):
            yield name, value


# --- what is answered ---


def _answer(request: Request, made: Asking, result: HttpResult | None) -> Response:
    if made.status in _WAITS:
        return accepted(made)
    if result is None or made.status not in (Status.SUCCEEDED, Status.FAILED):
        raise refusal(made)
    if result.truncated:
        raise AnswerTooLarge(extra=told(made))
    return _relayed(result, made, head=request.method == "HEAD")


def _say_applied(response: Response, seconds: int) -> None:
    """Say that the caller's wish to wait was granted; an upstream never heard of it (RFC 7240)."""
    kept = [line for line in response.raw_headers if line[0] != _APPLIED]
    response.raw_headers = [*kept, (_APPLIED, b"wait=%d" % seconds)]


def _relayed(result: HttpResult, made: Asking, *, head: bool) -> Response:
    """Return the upstream's answer, with the request's id."""
    response = Response(None if head else result.body, status_code=result.status)
    lines = encoded(result.headers, made.id)
    if not head and result.status not in _BODILESS:
        lines.append((b"content-length", str(len(result.body)).encode()))
    response.raw_headers = lines
    return response
