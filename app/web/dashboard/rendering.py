"""Jinja: one environment, a few filters, and ``page``."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any, Final, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.core.action import Kind, PlainAction, unseal
from app.core.canonical import canonical
from app.core.card import headline_of
from app.core.errors import AssentryError
from app.core.instant import SECOND, Instant, to_datetime
from app.core.json_types import JsonValue
from app.core.principals import SCOPE_WORDS, Caller, Role, at_least
from app.core.request import Request as Asked
from app.core.request import Status
from app.core.visible import visible
from app.services.audit import AuditRecord
from app.services.cards import place_of, told
from app.web.dashboard.faults import faults_of, marked
from app.web.deps import services_of

FOLDER: Final = Path(__file__).resolve().parent.parent / "templates"
_LONG: Final = 65_536
_PREVIEW: Final = 120
_IN_SECONDS: Final = 90
_TABLE: Final = ("row", "from", "to", "digest", "display", "shown", "assurance", "choice", "fence")
"""What the life of a request notes for programs."""

_HOMES: Final = {"agent": "/agents", "policy": "/policies", "target": "/targets"}
"""Where what the record is about has a page of its own."""

_UNITS: Final = ((86_400, "day"), (3600, "h"), (60, "min"), (1, "s"))


@cache
def environment() -> Environment:
    """Return the template environment."""
    made = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    ours: dict[str, Any] = {
        "shown": shown, "when": when, "clock": clock, "line": line, "zip_names": zip_names,
        "zip_self": zip_self, "extras": extras,
        "place": place, "decided": decided, "outcome": outcome, "answered": answered,
        "preview": preview, "cut": cut, "span": span, "told": told,
        "notes": notes, "home": home,
    }  # fmt: skip
    made.filters.update(ours)
    cast("dict[str, Any]", made.globals)["says"] = SCOPE_WORDS
    made.tests["at_least"] = lambda role, needed: at_least(Role(role), Role(needed))
    return made


def shown(text: str) -> Markup:
    """Return a text with everything hidden made visible and marked."""
    parts = [
        str(escape(piece.text))
        if piece.kind == "text"
        else f'<mark class="{piece.kind}">{escape(piece.text)}</mark>'
        for piece in visible(text).pieces
    ]
    return Markup("".join(parts))  # noqa: S704 - every piece was escaped above


@pass_context
def when(context: Context, instant: Instant | None) -> Markup:
    """Return how long ago or ahead an instant is, with the exact time on hover."""
    if instant is None:
        return Markup("–")
    exact = to_datetime(instant).strftime("%Y-%m-%d %H:%M:%S UTC")
    iso = to_datetime(instant).isoformat()
    text = relative(instant, context["now"])
    return Markup('<time datetime="{}" title="{}">{}</time>').format(iso, exact, text)


def line(item: Asked) -> Markup:
    """Return the headline of a request in a list, hidden characters made visible."""
    if len(item.payload) > _LONG:
        return shown(f"{item.action} {item.target_name or ''}".strip())
    try:
        return shown(headline_of(unseal(item.payload)))
    except (ValueError, AssentryError):
        return shown(f"{item.action} (its payload cannot be read)")


def preview(item: Asked) -> Markup:
    """Return the parameters of a plain action in one line, cut where it is long."""
    if item.kind is not Kind.PLAIN or len(item.payload) > _LONG:
        return Markup("")
    try:
        action = unseal(item.payload).action
    except (ValueError, AssentryError):
        return Markup("")
    text = canonical(action.params).decode() if isinstance(action, PlainAction) else "{}"
    return Markup("") if text == "{}" else shown(cut(text, _PREVIEW))


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters, with an ellipsis where it was cut."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def span(seconds: float) -> str:
    """Return how long to wait, in words, rounded up."""
    whole = ceil(seconds)
    return f"{whole} s" if whole <= _IN_SECONDS else f"{-(-whole // 60)} min"


def zip_names(values: Iterable[str], named: Iterable[Any]) -> list[tuple[str, str]]:
    """Return (value, name) pairs for a choice."""
    return [(value, item.name) for value, item in zip(values, named, strict=True)]


def zip_self(values: Iterable[str]) -> list[tuple[str, str]]:
    """Return each value as its own name, for a choice."""
    return [(value, value) for value in values]


def extras(values: Mapping[str, str]) -> str:
    """Return names and values as a form takes them, one a line."""
    return "\n".join(f"{name}: {value}" for name, value in values.items())


def place(channel: str) -> Markup:
    """Return where something was pressed, in words with a space before; nothing where nowhere."""
    return shown(f" {place_of(channel)}" if channel else "")


def decided(item: Asked, people: Mapping[str, str]) -> Markup:
    """Return who decided a request, in words; what followed was no decision of theirs."""
    kind, _, name = (item.decided_by or "").partition(":")
    if item.status is Status.EXPIRED or (kind != "person" and name in ("", "-")):
        return shown("undecided")
    said = "by policy" if kind != "person" else f"by {people.get(name, name)}"
    decision = item.status in (Status.APPROVED, Status.DENIED)
    return shown(said if decision else f"approved {said}")


def notes(record: AuditRecord) -> Markup:
    """Return what an entry of the record says beside who, what and when, in one line."""
    ours = _TABLE if record.event.startswith("request.") else ()
    said = [(name, value) for name, value in record.details.items() if name not in ours]
    if record.event == "request.submitted":
        said.insert(0, ("became", record.details.get("to")))
    parts = [f"{name} {value if isinstance(value, str) else canonical(value).decode()}"
             for name, text in said for name, value in _flat(name, text)
             if value not in (None, "", [], {})]  # fmt: skip
    return shown(cut(" · ".join(cut(part, _PREVIEW // 2) for part in parts), _PREVIEW))


def _flat(name: str, value: JsonValue) -> list[tuple[str, JsonValue]]:
    """Return a value with its name, or what an outcome holds, each with its own."""
    if name != "outcome" or not isinstance(value, str):
        return [(name, value)]
    return [(name, text) for name, text in outcome(value) if name in ("code", "status")]


def home(record: AuditRecord) -> str:
    """Return the address of the page of what an entry of the record is about, or nothing."""
    kind, _, number = record.subject.partition(":")
    if record.request_id:
        return f"/requests/{record.request_id}"
    return f"{_HOMES[kind]}/{number}" if kind in _HOMES else ""


def outcome(text: str) -> list[tuple[str, str]]:
    """Return what a worker wrote of a run as names and values, the sentence first."""
    try:
        found: object = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return [("detail", text)]
    values = cast("dict[str, object]", found)
    if "said_messages" in values:
        values = _conversation(values)
    first = sorted(values, key=lambda name: (name != "detail", name != "code"))
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in ((name, values[name]) for name in first)
    ]


def _counted(number: object, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _conversation(values: dict[str, object]) -> dict[str, object]:
    """Return what came of a WebSocket, in two lines of words instead of ten values."""
    said = {
        who: f"{_counted(values[f'{start}messages'], 'message')}, "
        f"{_counted(values[f'{start}bytes'], 'byte')}, SHA-256 {values[f'{start}sha256']}"
        for who, start in (("the upstream said", ""), ("the agent said", "said_"))
    }
    kept = ("code", "cut", "closed", "duration_ms")
    return {name: values[name] for name in kept if name in values} | said


def answered(item: Asked) -> str:
    """Return the HTTP status that a request's outcome holds, or an empty text."""
    found: object = json.loads(item.outcome) if item.outcome else {}
    status = cast("dict[str, object]", found).get("status") if isinstance(found, dict) else None
    return str(status) if isinstance(status, int) else ""


def clock(instant: Instant | None) -> str:
    """Return the exact time."""
    if instant is None:
        return "–"
    return to_datetime(instant).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def relative(instant: Instant, now: Instant) -> str:
    """Return a span in words, such as ``3 min ago`` or ``in 2 h``."""
    seconds = (instant - now) // SECOND
    size = abs(seconds)
    if size < 1:
        return "now"
    unit, name = next((unit, name) for unit, name in _UNITS if size >= unit)
    count = (size + unit // 2) // unit if seconds > 0 else size // unit
    plural = "s" if name == "day" and count != 1 else ""
    return f"in {count} {name}{plural}" if seconds > 0 else f"{count} {name}{plural} ago"


def page(
    http: Request,
    template: str,
    /,
    *,
    caller: Caller | None = None,
    status: int = 200,
    **context: Any,
) -> Response:
    """Render a template as an answer."""
    services = services_of(http)
    values: dict[str, Any] = {
        "caller": caller,
        "person": caller.person if caller else None,
        "form_token": caller.session.form_token if caller and caller.session else "",
        "now": services.clock.now(),
        "path": http.scope["path"],
        "error": None,
        "faults": (),
        "base_url": services.settings.public_url,
        **context,
    }
    made = environment().get_template(template)
    text = made.render(values)
    error = values["error"]
    if isinstance(error, AssentryError):
        sent_to = http.scope["path"]
        faults = faults_of(error, text, sent_to)
        text = marked(made.render({**values, "faults": faults}), sent_to, faults)
    return HTMLResponse(text, status_code=status)


def moment_of(text: str) -> datetime:
    """Return the time that a form's field for date and hour holds, in UTC.

    :raises ValueError: it holds something else.
    """
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
