"""``POST /ssh/{target}/...``: agents run commands, and read and write files, through us (SSH-1)."""

import hashlib
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.core.action import Urgency
from app.core.principals import Scope
from app.core.ssh_action import SSH_EXEC, SSH_GET, SSH_PUT
from app.services.ssh import Done, asking
from app.web.api.requests import accepted, idempotency_key, preferred_wait
from app.web.bodies import document, shaped
from app.web.deps import caller_of, remote_ip, services_of
from app.web.filters import bare
from app.web.models_ssh import CommandIn, FileReadIn, FileWriteIn
from app.web.refusals import refusal
from app.web.views import Json, dump
from app.web.waiters import may_wait, waiter

Body = type[CommandIn] | type[FileReadIn] | type[FileWriteIn]
_PARAMS: Final = "/params"


async def execute(request: Request) -> Response:
    """Run a command."""
    return await _carried(request, SSH_EXEC, CommandIn)


async def read_file(request: Request) -> Response:
    """Read a file."""
    return await _carried(request, SSH_GET, FileReadIn)


async def write_file(request: Request) -> Response:
    """Write a file."""
    return await _carried(request, SSH_PUT, FileWriteIn)


async def _carried(request: Request, action: str, shape: Body) -> Response:
    """Answer with the outcome, or say that it waits.

    :raises Denied: policy or a person says no.
    :raises NotCarriedOut: it was allowed, and nothing came of it.
    :raises OutcomeUnknown: it was sent, and nobody knows how it ended.
    """
    bare(request)
    caller = await caller_of(request)
    value, data = await document(request)
    body = shaped(value, shape)
    services = services_of(request)
    place = request.scope["path"].encode()
    asked = asking(
        action, request.path_params["target"], body.params(), reason=body.reason,
        urgency=Urgency(body.urgency), context=body.context,
        idempotency_key=idempotency_key(request),
        fingerprint=hashlib.sha256(place + b"\0" + data).hexdigest(),
    )  # fmt: skip
    done = await services.ssh.run(caller, asked, remote_ip(request))
    seconds = preferred_wait(request) if caller.may(Scope.REQUEST_READ) else 0
    if done.waits and seconds and may_wait(caller, services.settings):
        with waiter(caller, services.settings.max_waiters_per_key):
            done = await services.ssh.wait(caller, done, seconds)
    return _answer(done)


def _answer(done: Done) -> Response:
    if done.waits:
        return accepted(done.request)
    if done.answer is None:
        raise refusal(done.request)
    headers = {"X-Assentry-Request": done.request.id}
    return Json(dump(done.answer), 200, headers)
