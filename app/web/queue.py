"""``/api/queue``: writes at one account of a service, with one comment, as a bundle (SVC-4)."""

import hashlib
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from app.core.action import HTTP_BUNDLE
from app.core.errors import AssentryError, InvalidField, NotFound
from app.core.json_types import JsonObject
from app.core.principals import Caller
from app.core.request import Request as Asking
from app.core.request import Status
from app.services.intake import Asked
from app.web.api.requests import idempotency_key, whole
from app.web.bodies import document, read, shaped
from app.web.cursors import Cursor, encode
from app.web.deps import caller_of, remote_ip, services_of
from app.web.filters import bare, request_filter
from app.web.models import NoteIn, QueuedIn, QueueIn
from app.web.views import Json, render, render_page

WRITES: Final = ("POST", "PUT", "PATCH", "DELETE")
DEFAULT: Final = "default"
"""The account that is the target of the service's own name."""


async def submit(request: Request) -> Response:
    """Put writes at a target into the queue."""
    bare(request)
    caller = await caller_of(request)
    value, data = await document(request)
    body = shaped(value, QueueIn)
    calls = [_call(number, item) for number, item in enumerate(body.requests)]
    asked = Asked(
        action=HTTP_BUNDLE, params={"calls": calls, "on_failure": body.on_failure}, context={},
        reason=body.comment, target=_target(request), idempotency_key=idempotency_key(request),
        fingerprint=hashlib.sha256(request.scope["path"].encode() + b"\0" + data).hexdigest(),
    )  # fmt: skip
    try:
        made = await services_of(request).intake.submit(caller, asked, remote_ip=remote_ip(request))
    except AssentryError as error:
        pointer = error.pointer.replace("/params/calls", "/requests")
        error.pointer = pointer.replace("/base64", "/binaryBase64")
        raise
    status = 202 if made.status is Status.PENDING else 201
    headers = {"Location": f"/api/requests/{made.id}"}
    return Json(await whole(request, caller, made), status, headers)


async def submit_account(request: Request) -> Response:
    """Put writes at an account of a service into the queue."""
    return await submit(request)


def _target(request: Request) -> str:
    """Return the target's name: ``service.account``, or the service's for its default account."""
    names = request.path_params
    if "target" in names:
        return str(names["target"])
    service, account = names["service"], names["account"]
    return str(service) if account == DEFAULT else f"{service}.{account}"


def _call(number: int, item: QueuedIn) -> JsonObject:
    """Return one write as a call of a bundle.

    :raises InvalidField: it is a read, or has two bodies.
    """
    method = item.method.upper()
    if method not in WRITES:
        message = f"the queue takes {', '.join(WRITES)}; read through /gateway"
        raise InvalidField(message, pointer=f"/requests/{number}/method")
    binary = item.binary
    if binary is not None and item.body is not None:
        message = "give body or binaryBase64, not both"
        raise InvalidField(message, pointer=f"/requests/{number}/binaryBase64")
    content: dict[str, Any] = {} if binary is None else {"base64": binary}
    if item.body is not None:
        content = {"text" if isinstance(item.body, str) else "json": item.body}
    path = item.path if item.path.startswith("/") else f"/{item.path}"
    return {"method": method, "path": path, "headers": item.headers, "note": item.note, **content}


async def index(request: Request) -> Response:
    """List what is or was in the queue, newest first: an agent's own."""
    caller = await caller_of(request)
    wanted, limit, of = request_filter(request.query_params, action=HTTP_BUNDLE)
    requests = services_of(request).requests
    found = await requests.listing(caller, wanted, limit)
    read = await requests.many(caller, [name for name, _ in found.items])
    older = None if found.older is None else encode(Cursor("before", found.older), of)
    newer = None if found.newer is None else encode(Cursor("after", found.newer), of)
    fresh = {item.id: render(item) for item in read}
    return Json(render_page(found.items, fresh, older, newer), 200, {})


async def status(request: Request) -> Response:
    """Read how a submission stands, call by call."""
    bare(request)
    caller = await caller_of(request)
    return await _answer(request, caller, await _queued(request, caller))


async def status_account(request: Request) -> Response:
    """Read how a submission at an account stands."""
    return await status(request)


async def withdraw(request: Request) -> Response:
    """Take a submission back before it runs."""
    bare(request)
    caller = await caller_of(request)
    note = (await read(request, NoteIn)).note
    made = await _queued(request, caller)
    after = await services_of(request).decisions.cancel(caller, made.id, note)
    return await _answer(request, caller, after)


async def withdraw_account(request: Request) -> Response:
    """Take a submission at an account back before it runs."""
    return await withdraw(request)


async def _queued(request: Request, caller: Caller) -> Asking:
    found = await services_of(request).requests.get(caller, request.path_params["request_id"])
    if found.action != HTTP_BUNDLE or found.target_name != _target(request):
        message = "there is no such submission here"
        raise NotFound(message)
    return found


async def _answer(request: Request, caller: Caller, made: Asking) -> Response:
    return Json(await whole(request, caller, made), 200, {})
