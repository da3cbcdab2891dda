"""The inbox: what waits, the first to expire first, with filters in the address."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.core.action import Urgency
from app.core.errors import AssentryError, InvalidCursor, InvalidFilter
from app.core.principals import Caller
from app.core.request import Status
from app.services.inbox import Waiting
from app.services.requests import Page, RequestFilter
from app.web.cursors import Cursor, decode, encode
from app.web.dashboard.doors import signed_in
from app.web.dashboard.rendering import page
from app.web.deps import services_of
from app.web.filters import once, request_filter
from app.web.problems import status_of

WAITING: Final = (Status.PENDING, Status.UNKNOWN)
SIZE: Final = 50
ORDERS: Final = {"": "expires first", "newest": "newest first"}
_FILTERS: Final = ("agent", "target", "urgency")
_NAMES: Final = (*_FILTERS, "order", "cursor")


@signed_in
async def inbox(request: Request, caller: Caller) -> Response:
    """Show what waits for a person."""
    return await _inbox(request, caller, "inbox.html")


async def nothing_picked(request: Request, caller: Caller) -> Response:
    """Show the inbox again to whoever would decide together what was not selected."""
    error = InvalidFilter("select the requests first, by the boxes beside them")
    return await _inbox(request, caller, "inbox.html", error)


@signed_in
async def inbox_list(request: Request, caller: Caller) -> Response:
    """Show the inbox's list alone, for the script."""
    return await _inbox(request, caller, "inbox_list.html")


async def _inbox(
    request: Request, caller: Caller, template: str, error: AssentryError | None = None
) -> Response:
    services = services_of(request)
    kept = [(name, value) for name, value in request.query_params.multi_items() if value]
    query = {name: value for name, value in kept if name in _NAMES}
    found = Page([], None, None)
    try:
        query = once(type(request.query_params)(kept), (*_NAMES, "pick") if error else _NAMES)
        found = await _found(request, caller, dict(query))
    except (InvalidFilter, InvalidCursor) as wrong:
        error = wrong
    counts = await services.requests.waiting(caller)
    return page(
        request, template, caller=caller, items=found.items, counts=counts,
        mine=await services.inbox.decidable(caller, found.items),
        waiting=sum(counts.get(status, 0) for status in WAITING),
        agents={agent.id: agent.name for agent in await services.agents.list(caller)},
        targets=await services.targets.list(caller),
        broken=await services.connections.broken(caller),
        older=found.older, newer=found.newer, query=query, orders=ORDERS,
        urgencies=list(Urgency), filtered=any(query.get(name) for name in _FILTERS),
        error=error, status=status_of(error) if error else 200,
    )  # fmt: skip


async def _found(request: Request, caller: Caller, query: dict[str, str]) -> Page:
    """Return the page that the address asks for; its neighbours are cursors.

    :raises InvalidFilter: a parameter is not one of the inbox.
    :raises InvalidCursor: the cursor was not made by this list.
    """
    order = query.pop("order", "")
    if order not in ORDERS:
        message = "order is newest, or left out: then what expires first comes first"
        raise InvalidFilter(message, pointer="/order")
    cursor = query.pop("cursor", None)
    wanted, _, of = request_filter(type(request.query_params)(query))
    of = f"inbox {order} {of}"
    at = None if cursor is None else decode(cursor, of)
    found = await _page(request, caller, wanted, at, newest=order == "newest")
    return Page(
        found.items,
        found.older and encode(Cursor("before", found.older), of),
        found.newer and encode(Cursor("after", found.newer), of),
    )


async def _page(
    request: Request, caller: Caller, wanted: RequestFilter, at: Cursor | None, *, newest: bool
) -> Page:
    services = services_of(request)
    before = at.id if at and at.direction == "before" else None
    after = at.id if at and at.direction == "after" else None
    if newest:
        seen = RequestFilter(
            agent_id=wanted.agent_id, target_id=wanted.target_id, urgency=wanted.urgency,
            statuses=WAITING, before=before, after=after,
        )  # fmt: skip
        return await services.requests.page(caller, seen, SIZE)
    place = f"later.{before}" if before else f"sooner.{after}" if after else ""
    asked = Waiting(wanted.agent_id, wanted.target_id, wanted.urgency)
    return await services.inbox.page(caller, asked, place, SIZE)
