"""The record."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.core.errors import InvalidFilter
from app.web.cursors import Cursor, decode, encode, number_of
from app.web.deps import caller_of, services_of
from app.web.filters import DEFAULT_LIMIT, MAX_LIMIT, number, once
from app.web.views import audit_document, dump

_WORD: Final = 128


async def index(request: Request) -> Response:
    given = once(request.query_params, ("limit", "cursor", "event", "actor"))
    caller = await caller_of(request)
    limit = number(given, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
    event, actor = _word(given, "event"), _word(given, "actor")
    of = f"audit/{event}/{actor}"
    cursor = given.get("cursor")
    before = None if cursor is None else number_of(decode(cursor, of))
    found = await services_of(request).audit.page(
        caller, before=before, limit=limit + 1, event=event, actor=actor
    )
    more = len(found) > limit
    items = found[:limit]
    following = encode(Cursor("before", str(items[-1].seq)), of) if more else None
    document = {"items": [audit_document(record) for record in items], "next": following}
    return Response(dump(document), media_type="application/json")


def _word(given: dict[str, str], name: str) -> str | None:
    text = given.get(name)
    if text is not None and not (0 < len(text) <= _WORD and text.isascii() and text.isprintable()):
        message = f"{name} has 1 to {_WORD} plain characters"
        raise InvalidFilter(message, pointer=f"/{name}")
    return text
