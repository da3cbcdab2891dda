"""Paints cards as mail: a text and an HTML part that say the same, in the same order."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from app.core.approval_card import ApprovalCard, Painted
from app.core.card import Block
from app.core.ports import Digest

MOST: Final = 100_000
"""Most characters of what will run that one mail shows."""

_END: Final = 2_000
_SUBJECT: Final = 150


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail's content.

    :ivar subject: one line, the same for every mail about a request.
    """

    subject: str
    text: str
    html: str
    painted: Painted


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("integrations.email"), undefined=StrictUndefined,
        autoescape=select_autoescape(["html"], default=False), trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters.update({"indented": _indented, "quoted": _quoted})
    return made


def _indented(text: str) -> str:
    return _prefixed(text, "    ")


def _quoted(text: str) -> str:
    return _prefixed(text, "  > ")


def _prefixed(text: str, prefix: str) -> str:
    return "\n".join(f"{prefix}{line}" for line in text.split("\n"))


def letter(card: ApprovalCard) -> Letter:
    """Return the mail that shows a card; what does not fit is counted, and then decides nothing."""
    blocks, complete = _fitted(card)
    given = {"card": card, "blocks": blocks, "complete": complete}
    text = _templates().get_template("card.txt").render(given)
    html = _templates().get_template("card.html").render(given)
    painted = Painted({"text": text, "html": html}, complete=complete)
    return Letter(_subject(card), text, html, painted)


def digest_letter(digest: Digest) -> Letter:
    """Return the mail that lists several requests."""
    text = "\n".join([digest.title, "", *digest.lines, "", f"Review them: {digest.url}", ""])
    html = _templates().from_string(_LIST).render(digest=digest)
    return Letter(digest.title, text, html, Painted({"text": text}, complete=False))


_LIST: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Requests</title></head>'
    "<body><h1>{{ digest.title|e }}</h1><ul>{% for line in digest.lines %}<li>{{ line|e }}</li>"
    '{% endfor %}</ul><p><a href="{{ digest.url|e }}">Review them</a></p></body></html>'
)


def _subject(card: ApprovalCard) -> str:
    line = card.headline.replace("\n", " ")
    short = line if len(line) <= _SUBJECT else f"{line[: _SUBJECT - 1]}…"
    return f"[Assentry] {short} ({card.short_digest})"


def _fitted(card: ApprovalCard) -> tuple[list[Block], bool]:
    left, complete, shown = MOST, True, list[Block]()
    for block in card.blocks:
        text = block.whole
        if len(text) > left:
            complete = False
            text = _cut(text, max(left, 2 * _END))
        left = max(left - len(text), 0)
        shown.append(replace(block, text=text))
    return shown, complete


def _cut(text: str, most: int) -> str:
    """Return head and tail with the exact count of what is left out between them."""
    head, tail = text[: most - _END], text[-_END:]
    gone = text[most - _END : -_END]
    return f"{head}\n… {len(gone)} characters ({len(gone.encode())} bytes) are not shown …\n{tail}"
