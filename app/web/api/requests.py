"""The hot doors: ask, read, wait, list, decide. Plain Starlette handlers, bytes out (D6)."""

import hashlib
import re
from typing import Final, Literal
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from app.core.action import Kind, Urgency
from app.core.ballots import check_shown
from app.core.errors import InvalidFilter, NotFound, UnsupportedMediaType
from app.core.principals import Caller, Scope
from app.core.request import Ballot, Choice, Status
from app.core.request import Request as Asking
from app.services.intake import Asked
from app.services.results import result_document
from app.web.api.replies import reply
from app.web.bodies import document, read, shaped
from app.web.cursors import Cursor, encode
from app.web.deps import caller_of, remote_ip, services_of
from app.web.filters import MAX_WAIT, bare, number, once, request_filter
from app.web.models import DecisionIn, NoteIn, RequestIn, SettleIn
from app.web.models_ssh import MarkerOut
from app.web.views import (
    Json,
    audit_document,
    card_document,
    dump,
    kept_of,
    render,
    render_page,
    render_whole,
    rendered,
)
from app.web.waiters import may_wait, waiter

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,255}")
_CALL: Final = re.compile(r"[1-9][0-9]?")
_PREFER: Final = re.compile(r"\bwait=(\d{1,4})\b")
_CREATED, _ACCEPTED = 201, 202


async def whole(request: Request, caller: Caller, made: Asking) -> bytes:
    """Return a request as JSON bytes, a bundle with its calls."""
    if made.kind is not Kind.BUNDLE or not caller.may(Scope.REQUEST_READ):
        return render(made)
    return render_whole(made, await services_of(request).requests.calls(caller, made))


def _json(data: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Json(data, status, headers or {})


async def create(request: Request) -> Response:
    """Ask for an action."""
    bare(request)
    caller = await caller_of(request)
    value, data = await document(request)
    body, token = shaped(value, RequestIn), idempotency_key(request)
    asked = Asked(
        action=body.action,
        params=body.params,
        context=body.context,
        reason=body.reason,
        urgency=Urgency(body.urgency),
        target=body.target,
        expires_in=body.expires_in,
        supersedes=body.supersedes,
        idempotency_key=token,
        fingerprint=hashlib.sha256(data).hexdigest() if token else "",
    )
    services = services_of(request)
    made = await services.intake.submit(caller, asked, remote_ip=remote_ip(request))
    headers = {"Location": f"/api/requests/{made.id}"}
    seconds = preferred_wait(request)
    if seconds and caller.may(Scope.REQUEST_READ) and may_wait(caller, services.settings):
        headers["Preference-Applied"] = f"wait={seconds}"
        with waiter(caller, services.settings.max_waiters_per_key):
            made = await services.feed.wait(caller, made.id, seconds)
    status = _ACCEPTED if made.status is Status.PENDING else _CREATED
    return _json(await whole(request, caller, made), status, headers)


def accepted(made: Asking) -> Response:
    """Return what is answered while a request waits."""
    return _json(render(made), _ACCEPTED, {"Location": f"/api/requests/{made.id}"})


def idempotency_key(request: Request) -> str | None:
    """Return the call's Idempotency-Key.

    :raises InvalidFilter: it is not written like one.
    """
    token = request.headers.get("idempotency-key")
    if token is not None and not _TOKEN.fullmatch(token):
        message = "an Idempotency-Key has 1 to 255 visible ASCII characters"
        raise InvalidFilter(message, pointer="/Idempotency-Key")
    return token


def preferred_wait(request: Request) -> int:
    """Return the seconds of a ``Prefer: wait=N`` header (RFC 7240), within our limit."""
    preferred = request.headers.get("prefer")
    match = _PREFER.search(preferred) if preferred else None
    return min(int(match[1]), MAX_WAIT) if match else 0


async def get(request: Request) -> Response:
    """Read one request, or wait for it."""
    caller = await caller_of(request)
    request_id = request.path_params["request_id"]
    services = services_of(request)
    if not request.scope["query_string"]:
        kept = rendered(request_id, await services.requests.version(caller, request_id))
        return _json(kept or await _read(request, caller))
    given = once(request.query_params, ("wait", "until"))
    seconds = number(given, "wait", 0, 0, MAX_WAIT)
    until = _until(given.get("until", "final"))
    if not seconds:
        return _json(await _read(request, caller))
    with waiter(caller, services.settings.max_waiters_per_key):
        found = await services.feed.wait(caller, request_id, seconds, until)
    return _json(await whole(request, caller, found))


async def _read(request: Request, caller: Caller) -> bytes:
    request_id = request.path_params["request_id"]
    found = await services_of(request).requests.get(caller, request_id)
    return await whole(request, caller, found)


def _until(text: str) -> Literal["final", "decided"]:
    if text == "final" or text == "decided":  # noqa: PLR1714 - so the type is narrowed
        return text
    message = "until is final or decided"
    raise InvalidFilter(message, pointer="/until")


async def page(request: Request) -> Response:
    """List requests, newest first."""
    caller = await caller_of(request)
    wanted, limit, of = request_filter(request.query_params)
    requests = services_of(request).requests
    found = await requests.listing(caller, wanted, limit)
    texts = kept_of(found.items)
    missing = [name for name, _ in found.items if name not in texts]
    for item in await requests.many(caller, missing) if missing else ():
        texts[item.id] = render(item)
    older = None if found.older is None else encode(Cursor("before", found.older), of)
    newer = None if found.newer is None else encode(Cursor("after", found.newer), of)
    headers = None if older is None else {"Link": _following(request, older)}
    return _json(render_page(found.items, texts, older, newer), 200, headers)


def _following(request: Request, cursor: str) -> str:
    given = {**request.query_params, "cursor": cursor}
    return f'</api/requests?{urlencode(given)}>; rel="next"'


async def decide(request: Request) -> Response:
    """Approve or deny exactly what has this digest."""
    bare(request)
    caller = await caller_of(request)
    body = await read(request, DecisionIn)
    excluded = tuple(sorted(set(body.excluded)))
    ballot = Ballot(
        Choice(body.decision), body.digest, body.comment, body.channel, display=body.display,
        excluded=excluded,
    )  # fmt: skip
    request_id, services = request.path_params["request_id"], services_of(request)
    if body.display:
        check_shown(body.display, (await services.desk.read(caller, request_id)).display)
    after = await services.decisions.cast(caller, request_id, ballot)
    return _json(await whole(request, caller, after))


async def card(request: Request) -> Response:
    """Read the card that people decide on."""
    bare(request)
    caller = await caller_of(request)
    shown = await services_of(request).desk.read(caller, request.path_params["request_id"])
    return _json(dump(card_document(shown)))


async def cancel(request: Request) -> Response:
    """Withdraw a request."""
    bare(request)
    caller = await caller_of(request)
    note = (await read(request, NoteIn)).note if await _has_body(request) else ""
    request_id = request.path_params["request_id"]
    after = await services_of(request).decisions.cancel(caller, request_id, note)
    return _json(await whole(request, caller, after))


async def _has_body(request: Request) -> bool:
    length = request.headers.get("content-length")
    if length in (None, "0") and "transfer-encoding" not in request.headers:
        return False
    if not request.headers.get("content-type"):
        raise UnsupportedMediaType
    return True


async def settle(request: Request) -> Response:
    """Say whether an execution with unknown outcome ran."""
    bare(request)
    caller = await caller_of(request)
    body = await read(request, SettleIn)
    request_id = request.path_params["request_id"]
    after = await services_of(request).decisions.settle(
        caller, request_id, ran=body.ran, note=body.note
    )
    return _json(await whole(request, caller, after))


async def reconcile(request: Request) -> Response:
    """Look at the marker that a command left on its host."""
    bare(request)
    caller = await caller_of(request)
    looked = await services_of(request).markers.look(caller, request.path_params["request_id"])
    return reply(MarkerOut.of(looked))


async def result(request: Request) -> Response:
    """Read the upstream's answer."""
    bare(request)
    caller = await caller_of(request)
    requests = services_of(request).requests
    found = await requests.result(caller, request.path_params["request_id"])
    if found is None:
        await requests.check_kept(caller, request.path_params["request_id"])
        message = "this request has no result, not yet or no longer"
        raise NotFound(message)
    return _json(dump(result_document(found)))


async def call_result(request: Request) -> Response:
    """Read the upstream's answer to one call of a bundle."""
    bare(request)
    caller = await caller_of(request)
    request_id, number = request.path_params["request_id"], request.path_params["number"]
    place = int(number) if _CALL.fullmatch(number) else 0
    found = await services_of(request).requests.call_result(caller, request_id, place)
    if found is None:
        message = "this call has no result, not yet or no longer"
        raise NotFound(message)
    return _json(dump(result_document(found)))


async def trail(request: Request) -> Response:
    """Read a request's part of the record."""
    bare(request)
    caller = await caller_of(request)
    records = await services_of(request).requests.trail(caller, request.path_params["request_id"])
    return _json(dump({"items": [audit_document(record) for record in records], "next": None}))
