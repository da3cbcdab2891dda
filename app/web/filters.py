"""Query parameters: known ones only, each once, each with a value that is accepted."""

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final, TypeVar

from starlette.datastructures import QueryParams
from starlette.requests import Request

from app.core.action import Urgency
from app.core.errors import InvalidFilter
from app.core.instant import Instant, from_datetime
from app.core.request import Status
from app.services.audit import AuditFilter
from app.services.requests import RequestFilter
from app.web.cursors import decode, number_of

E = TypeVar("E", Status, Urgency)

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
MAX_WAIT: Final = 60

_NAMES: Final = frozenset(
    {
        "status", "action", "agent", "target", "urgency", "created_from", "created_to", "limit",
        "cursor",
    }
)  # fmt: skip
_RECORD: Final = ("event", "actor", "subject", "from", "until")
_LONG: Final = 128
_FIELD: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
"""A time as a browser's field writes it, without a zone."""

_WORD: Final = re.compile(r"[A-Za-z0-9_.:*@-]{1,128}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


def once(query: QueryParams, names: Collection[str]) -> dict[str, str]:
    """Return the parameters.

    :raises InvalidFilter: one is unknown or given twice.
    """
    found: dict[str, str] = {}
    for name, value in query.multi_items():
        if name not in names:
            message = f"there is no parameter {name[:40]!r}; known are {', '.join(sorted(names))}"
            raise InvalidFilter(message, pointer=f"/{name[:40]}")
        if name in found:
            message = f"{name} is given twice"
            raise InvalidFilter(message, pointer=f"/{name}")
        found[name] = value
    return found


def bare(request: Request) -> None:
    """Refuse query parameters where there are none.

    :raises InvalidFilter: there is one.
    """
    if request.scope["query_string"]:
        once(request.query_params, ())


def number(given: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    """Return a whole number within bounds.

    :raises InvalidFilter: it is something else.
    """
    text = given.get(name)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        message = f"{name} is a whole number from {least} to {most}"
        raise InvalidFilter(message, pointer=f"/{name}")
    return int(text)


def request_filter(query: QueryParams, *, action: str = "") -> tuple[RequestFilter, int, str]:
    """Return filter, page size and the text that its cursors belong to.

    ``agent`` and ``target`` are ids; several statuses are separated by commas.

    :param action: the only action of the list; it then is no parameter.
    """
    given = once(query, _NAMES - {"action"} if action else _NAMES)
    if action:
        given["action"] = action
    cursor = given.pop("cursor", None)
    limit = number(given, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
    given.pop("limit", None)
    of = "&".join(f"{name}={given[name]}" for name in sorted(given))
    at = None if cursor is None else decode(cursor, of)
    statuses = given.get("status")
    wanted = RequestFilter(
        agent_id=_id(given, "agent", "agt_"),
        statuses=tuple(_one(Status, text, "status") for text in statuses.split(","))
        if statuses is not None
        else (),
        action=_word(given, "action"),
        target_id=_id(given, "target", "tgt_"),
        urgency=_one(Urgency, given["urgency"], "urgency") if "urgency" in given else None,
        created_from=_time(given, "created_from"),
        created_to=_time(given, "created_to"),
        before=at.id if at is not None and at.direction == "before" else None,
        after=at.id if at is not None and at.direction == "after" else None,
    )
    return wanted, limit, of


def audit_filter(query: QueryParams) -> tuple[AuditFilter, int, str]:
    """Return filter, page size and the text that its cursors belong to, for the record."""
    given = once(query, (*_RECORD, "limit", "cursor"))
    limit = number(given, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
    of = "audit&" + "&".join(f"{name}={given[name]}" for name in _RECORD if name in given)
    wanted = AuditFilter()
    for name in ("event", "actor", "subject"):
        if text := _plain(given, name):
            wanted[name] = text
    if since := _time(given, "from"):
        wanted["since"] = since
    if until := _time(given, "until"):
        wanted["until"] = until
    if "cursor" in given:
        at = decode(given["cursor"], of)
        wanted[at.direction] = number_of(at)
    return wanted, limit, of


def _plain(given: dict[str, str], name: str) -> str | None:
    text = given.get(name)
    if text is not None and not (0 < len(text) <= _LONG and text.isascii() and text.isprintable()):
        message = f"{name} has 1 to {_LONG} plain characters"
        raise InvalidFilter(message, pointer=f"/{name}")
    return text


def in_utc(pairs: Iterable[tuple[str, str]], names: Collection[str]) -> QueryParams:
    """Return parameters with the times of a page's fields in UTC, as their labels say."""
    return QueryParams(
        [(name, f"{value}Z" if name in names and _FIELD.fullmatch(value) else value)
         for name, value in pairs]
    )  # fmt: skip


def _id(given: dict[str, str], name: str, beginning: str) -> str | None:
    text = _word(given, name)
    if text is not None and not text.startswith(beginning):
        message = f"{name} is an id, which begins with {beginning}, and not a name"
        raise InvalidFilter(message, pointer=f"/{name}")
    return text


def _word(given: dict[str, str], name: str) -> str | None:
    text = given.get(name)
    if text is not None and not _WORD.fullmatch(text):
        message = f"{name} is a name of letters, digits and _ . : * @ - such as send_mail"
        raise InvalidFilter(message, pointer=f"/{name}")
    return text


def _one(kind: type[E], text: str, name: str) -> E:
    try:
        return kind(text)
    except ValueError as error:
        message = f"{name} is one of {', '.join(kind)}"
        raise InvalidFilter(message, pointer=f"/{name}") from error


def _time(given: dict[str, str], name: str) -> Instant | None:
    text = given.get(name)
    if text is None:
        return None
    try:
        return from_datetime(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        message = f"{name} is a time with zone such as 2026-01-31T12:00:00Z (write + as %2B)"
        raise InvalidFilter(message, pointer=f"/{name}") from error
