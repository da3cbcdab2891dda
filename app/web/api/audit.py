"""The record."""

from starlette.requests import Request
from starlette.responses import Response

from app.web.cursors import Cursor, encode
from app.web.deps import caller_of, services_of
from app.web.filters import audit_filter
from app.web.views import audit_document, dump


async def index(request: Request) -> Response:
    wanted, limit, of = audit_filter(request.query_params)
    caller = await caller_of(request)
    found = await services_of(request).audit.page(caller, limit=limit + 1, **wanted)
    items = found[:limit]
    more = len(found) > limit
    following = encode(Cursor("before", str(items[-1].seq)), of) if more else None
    document = {"items": [audit_document(record) for record in items], "next": following}
    return Response(dump(document), media_type="application/json")
