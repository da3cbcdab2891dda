"""Paints cards as mail: one sheet of parts, laid out once as text and once as HTML (CH-3).

Both say the same because both are made of the same parts. The link to the request's page stands
above everything that an agent wrote, and the button to decide above the agent's words (T20). What
does not fit is shown by head and tail with an exact count of the rest, and such a mail has no link
to decide (T4); the bound is below the size at which mail programs clip.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import escape

from app.core.approval_card import ApprovalCard, Painted
from app.core.ports import Digest
from app.core.visible import visible_text
from integrations.marks import marked
from integrations.sheet import COMMENT, INCOMPLETE, Fitting, Part, Section, Sheet, sheet_of

MOST: Final = 100_000
"""Most bytes of the HTML; Gmail hides what is beyond 102 kB, and with it part of the payload."""

_ROOM: Final = 64_000
"""Most bytes of HTML that what an agent wrote may take."""

END: Final = 2_000
"""Characters of head and of tail that are shown of what does not fit."""

_DECIDE: Final = (
    "The page shows all of this again; nothing happens until you press a button there. The link "
    "is made for you: do not forward it."
)
MIXED: Final = "background:#fff3d6;color:#8a5a00;text-decoration:underline wavy"
"""How a word in mixed or look-alike letters looks where style sheets are not read."""

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
    ours: dict[str, Any] = {"prefixed": _prefixed, "marked": marked}
    made.filters.update(ours)
    return made


def _prefixed(text: str, prefix: str) -> str:
    return "\n".join(f"{prefix}{line}" for line in text.split("\n"))


def letter(card: ApprovalCard) -> Letter:
    """Return the mail that shows a card; what does not fit is counted, and then decides nothing."""
    subject = _subject(card)
    for room, forced in ((_ROOM, False), (0, True)):
        fitting = Fitting(room, END, _weigh)
        sheet = sheet_of(card, fitting)
        complete = not (fitting.cut or forced)
        made = _laid_out(subject, _with_links(sheet, card, complete=complete), complete)
        if len(made.html.encode()) <= MOST:
            break
    return made


def _weigh(text: str) -> int:
    return len(escape(text).encode())


def _with_links(sheet: Sheet, card: ApprovalCard, *, complete: bool) -> Sheet:
    """Return the mail with our links, to decide and to review (T20).

    The page stands above all that an agent wrote; the button below what will run and above the
    agent's words, as one reads before one decides.
    """
    at = next((n for n, item in enumerate(sheet.sections) if item.title == card.runs), 0)
    page = Section("The request", (Part("link", card.url, "Review in full"),) if card.url else ())
    links = Section("Decide", tuple(_links(card, complete=complete)))
    before, runs, after = sheet.sections[:at], sheet.sections[at : at + 1], sheet.sections[at + 1 :]
    placed = (*before, page, *runs, links, *after)
    return replace(sheet, sections=tuple(section for section in placed if section.parts))


def _links(card: ApprovalCard, *, complete: bool) -> Iterator[Part]:
    if card.pending and complete and card.link:
        yield Part("button", card.link, "Decide")
        yield Part("line", _DECIDE)
    if card.pending and card.reason_required:
        yield Part("line", COMMENT)
    if not complete:
        yield Part("warning", INCOMPLETE)


def digest_letter(digest: Digest) -> Letter:
    """Return the mail that lists several requests, without a control."""
    link = Part("link", digest.url, digest.action)
    urls = digest.urls or ("",) * len(digest.lines)
    lines = [
        part
        for line, url in zip(digest.lines, urls, strict=True)
        for part in (Part("item", line), *([Part("link", url, "Review it")] if url else ()))
    ]
    sheet = Sheet(digest.title, "", (Section("", (link,)), Section("", tuple(lines))), "")
    return _laid_out(_one_line(f"[Assentry] {digest.title}"), sheet, complete=False)


def _laid_out(subject: str, sheet: Sheet, complete: bool) -> Letter:  # noqa: FBT001
    given = {"sheet": sheet, "subject": subject, "mixed": MIXED}
    text = _templates().get_template("card.txt").render(given)
    html = _templates().get_template("card.html").render(given)
    return Letter(subject, text, html, Painted({"text": text, "html": html}, complete=complete))


def _subject(card: ApprovalCard) -> str:
    line = _one_line(card.headline)
    short = line if len(line) <= _SUBJECT else f"{line[: _SUBJECT - 1]}…"
    return _one_line(f"[Assentry] {short} ({card.short_digest})")


def _one_line(text: str) -> str:
    """Return a text without anything that could end a header, whoever made it (T20).

    Encoded words (RFC 2047) are broken up: the library decodes them when a header is set, and
    what comes of them may be the end of a line.
    """
    return " ".join(visible_text(text).replace("=?", "= ?").split())
