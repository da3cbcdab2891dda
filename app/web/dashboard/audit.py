"""The record: who did what, when, and on what, with filters in the address."""

from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from app.core.errors import InvalidCursor, InvalidFilter
from app.core.principals import Caller
from app.services.audit import AuditRecord
from app.services.requests import cut
from app.web.cursors import Cursor, encode
from app.web.dashboard.doors import signed_in
from app.web.dashboard.rendering import page
from app.web.deps import services_of
from app.web.filters import audit_filter, in_utc
from app.web.problems import status_of

_TIMES: Final = ("from", "until")
_OTHERS: Final = {"system:assentry": "Assentry", "nobody:-": "not signed in"}


@signed_in
async def index(request: Request, caller: Caller) -> Response:
    """Show the record, newest first."""
    services = services_of(request)
    kept = [(name, value.strip()) for name, value in request.query_params.multi_items()
            if value.strip()]  # fmt: skip
    asked = in_utc(kept, _TIMES)
    items: list[AuditRecord] = []
    older, newer, error = "", "", None
    try:
        wanted, limit, of = audit_filter(asked)
        found = await services.audit.page(caller, limit=limit + 1, **wanted)
        items, more, fewer = cut(
            found, limit, before=wanted.get("before"), after=wanted.get("after")
        )
        older = encode(Cursor("before", str(items[-1].seq)), of) if more else ""
        newer = encode(Cursor("after", str(items[0].seq)), of) if fewer else ""
    except (InvalidFilter, InvalidCursor) as wrong:
        error = wrong
    query = {name: value for name, value in kept if name != "cursor"}
    return page(
        request, "audit.html", caller=caller, records=items, older=older, newer=newer,
        query=query, actors=await _actors(request, caller, query.get("actor", "")),
        document=f"/api/audit?{urlencode(asked.multi_items())}", error=error,
        status=status_of(error) if error else 200,
    )  # fmt: skip


async def _actors(request: Request, caller: Caller, chosen: str) -> dict[str, str]:
    """Return the names of all who may have done something, by their references."""
    services = services_of(request)
    people = {f"person:{one.id}": one.name for one in await services.people.list(caller)}
    agents = {f"agent:{one.id}": one.name for one in await services.agents.list(caller)}
    known = {**people, **agents, **_OTHERS}
    return known if chosen in ("", *known) else {**known, chosen: chosen}
