"""What can be pressed and filled in, as plain HTML forms."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from tests.support.slack_people import JSON, Team
from tests.support.slack_text import link
from tests.support.slack_view import initial

MANY: Final = frozenset(
    {"checkboxes", "multi_static_select", "multi_users_select", "multi_conversations_select"}
)
"""Elements of which one may choose several things."""

_TYPES: Final = {
    "datepicker": "date", "timepicker": "time", "datetimepicker": "number",
    "number_input": "number", "email_text_input": "email", "url_text_input": "url",
}  # fmt: skip
_BOXES: Final = {"checkboxes": "checkbox", "radio_buttons": "radio"}
Pair = tuple[str, str]


def hidden(**fields: object) -> str:
    """Return fields that nobody sees."""
    return "".join(
        f'<input type="hidden" name="{name}" value="{escape(str(value))}">'
        for name, value in fields.items()
    )


def read(element: JSON, got: Sequence[str]) -> Any:
    """Return what a form says of an element, as the actions want it."""
    if element["type"] in MANY:
        return list(got)
    said = got[0] if got else ""
    if element["type"] == "datetimepicker":
        return int(said) if said.isdecimal() else None
    return said or None


def pressed(element: JSON, where: str, team: Team) -> str:
    """Return the form that presses an element, or chooses from it.

    :param where: the hidden fields that say where it is.
    :param team: whose people and channels one may choose from.
    """
    if element["type"] == "button":
        inner = _button(element)
    else:
        words = element.get("placeholder", {}).get("text") or "Choose"
        inner = f"{entry(element, 'value', team)}<button>{escape(words)}</button>"
    return f'<form method="post" action="/press">{where}{_confirmed(element, inner, team)}</form>'


def entry(element: JSON, name: str, team: Team, *, optional: bool = True) -> str:
    """Return the control that takes a value.

    :param team: whose people and channels one may choose from.
    """
    kind, value = element["type"], initial(element)
    marks = f'name="{escape(name)}"' + (' form="sent"' if name != "value" else "")
    if kind in _BOXES:
        return _boxes(element, marks, value, team)
    needed = "" if optional else " required"
    if kind in _TYPES or kind.endswith("_input"):
        return _field(element, marks + needed, "" if value is None else str(value))
    many = kind in MANY
    blank = "" if many else '<option value="">…</option>'
    given = value if isinstance(value, list) else [value]
    options = "".join(_option(pair, given) for pair in _choices(element, team))
    return f"<select {marks}{needed}{' multiple' if many else ''}>{blank}{options}</select>"


def _field(element: JSON, marks: str, value: str) -> str:
    for name in ("min_length", "max_length"):
        if name in element:
            marks += f' {name.replace("_", "")}="{int(element[name])}"'
    if element.get("multiline") or element["type"] == "rich_text_input":
        return f"<textarea rows=4 {marks}>{escape(value)}</textarea>"
    kind = _TYPES.get(element["type"], "text")
    return f'<input type="{kind}" {marks} value="{escape(value)}">'


def _boxes(element: JSON, marks: str, value: Any, team: Team) -> str:
    given = value if isinstance(value, list) else [value]
    return "".join(
        f'<label class="box"><input type="{_BOXES[element["type"]]}" {marks}'
        f' value="{escape(name)}"{" checked" if name in given else ""}> {escape(words)}</label>'
        for name, words in _choices(element, team)
    )


def _choices(element: JSON, team: Team) -> Iterable[Pair]:
    kind = element["type"]
    if "users" in kind:
        return [(one.id, one.name) for one in team.users.values() if not one.deleted]
    if "conversations" in kind or "channels" in kind:
        return [(one.id, one.name) for one in team.channels.values() if one.user is None]
    groups = [*element.get("option_groups", []), element]
    options = [option for group in groups for option in group.get("options", [])]
    return [(option["value"], option["text"]["text"]) for option in options]


def _option(pair: Pair, given: Sequence[object]) -> str:
    chosen = " selected" if pair[0] in given else ""
    return f'<option value="{escape(pair[0])}"{chosen}>{escape(pair[1])}</option>'


def _button(element: JSON) -> str:
    label = element["text"]["text"]
    button = f'<button class="{escape(element.get("style", ""))}">{escape(label)}</button>'
    url = element.get("url")
    return button + (f" {link(url, '↗')}" if url else "")


def _confirmed(element: JSON, inner: str, team: Team) -> str:
    """Put a question before it, if the element has one."""
    question = element.get("confirm")
    if not question:
        return inner
    label = element.get("text", {}).get("text") or "Choose"
    words = f"<p><strong>{escape(question['title']['text'])}</strong></p>"
    words += f"<p>{escape(question['text']['text'])}</p>"
    yes = f'<button class="small">{escape(question["confirm"]["text"])}</button>'
    control = "" if element["type"] == "button" else entry(element, "value", team)
    return f"<details><summary>{escape(label)}</summary>{words}{control}{yes}</details>"
