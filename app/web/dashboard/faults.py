"""What is wrong with a form, told at its fields: by their labels above it, and beside them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape
from typing import Final

from app.core.checks import each_of
from app.core.errors import AssentryError

_FIELD: Final = re.compile(
    r'<label for="[^"]*">([^<]+)</label>\s*<(?:input|textarea|select) id="[^"]*" name="([^"]+)"'
)
"""A field as the macros write it: its label and its name."""

_PREFIX: Final = re.compile("^(?:field|credential)_")
_FORM: Final = re.compile(r'<form method="post" action="([^"]*)"[^>]*>.*?</form>', re.DOTALL)
_FIELDS: Final = {
    "starts_at": "starts", "ends_at": "ends", "digest_seconds": "digest_minutes",
    "http.method": "methods", "http.path": "paths", "credentials": "rules",
}  # fmt: skip
"""Names of fields that the page's form calls otherwise."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    :ivar field: name of the field on the page, or an empty text; so is its ``label``.
    """

    detail: str
    pointer: str
    field: str = ""
    label: str = ""


def faults_of(error: AssentryError, text: str, sent_to: str) -> Sequence[Fault]:
    """Return all that an error says, with the fields of the page's form that it is about."""
    sent = [form[0] for form in _FORM.finditer(text) if unescape(form[1]) == sent_to]
    labels = {_PREFIX.sub("", name): (name, unescape(label))
              for label, name in _FIELD.findall("".join(sent) or text)}  # fmt: skip
    return [_fault(one["detail"], one["pointer"], labels) for one in each_of(error)]


def _fault(detail: str, pointer: str, labels: Mapping[str, tuple[str, str]]) -> Fault:
    parts = [_FIELDS.get(part, part) for part in pointer.split("/")[1:]]
    found = next((labels[part] for part in parts if part in labels), ("", ""))
    return Fault(detail, pointer, *found)


def marked(text: str, sent_to: str, faults: Sequence[Fault]) -> str:
    """Return a page with the faults beside the fields of the form that was sent."""
    said = {fault.field: fault.detail for fault in reversed(faults) if fault.field}

    def form(found: re.Match[str]) -> str:
        same = unescape(found[1]) == sent_to
        return _FIELD.sub(field, found[0]) if same else found[0]

    def field(found: re.Match[str]) -> str:
        if found[2] not in said:
            return found[0]
        beside = f' <span class="wrong">{escape(said[found[2]])}</span></label>'
        return f'{found[0].replace("</label>", beside, 1)} aria-invalid="true"'

    return _FORM.sub(form, text) if said else text
