"""One decision on several requests (DEC-9)."""

from starlette.requests import Request
from starlette.responses import Response

from app.core import request as core
from app.core.errors import AssentryError, InvalidField
from app.core.request import Ballot, Choice
from app.web.api.replies import reply
from app.web.bodies import read
from app.web.deps import caller_of, services_of
from app.web.filters import bare
from app.web.models import SelectedOut, SelectionIn, SelectionOut


async def decide(request: Request) -> Response:
    """Approve or deny a selection, each by the digest that was seen."""
    bare(request)
    caller = await caller_of(request)
    body = await read(request, SelectionIn)
    choice = Choice(body.decision)
    selection = {item.id: Ballot(choice, item.digest, body.comment, "api") for item in body.items}
    if len(selection) != len(body.items):
        message = "a request is selected once"
        raise InvalidField(message, pointer="/items")
    done = await services_of(request).decisions.cast_all(caller, selection)
    return reply(SelectionOut([_selected(name, what) for name, what in done.items()]))


def _selected(request_id: str, what: core.Request | AssentryError) -> SelectedOut:
    if isinstance(what, AssentryError):
        return SelectedOut(request_id, counted=False, code=what.code, detail=what.detail)
    return SelectedOut(request_id, counted=True, code=None, detail=None)
