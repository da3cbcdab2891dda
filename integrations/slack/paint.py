"""Paints cards as Block Kit (CH-1).

Everything stands in ``rich_text`` and ``plain_text``, where nothing is markup, a mention or a
link; the only link and the only buttons are ours (T6). What does not fit is shown by head and
tail with an exact count of the rest, and such a message has no button that approves (T4).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from app.core.approval_card import ApprovalCard, Painted
from app.core.ports import Digest
from app.core.visible import visible_text
from integrations.sheet import COMMENT, INCOMPLETE, Fitting, Part, Section, Sheet, sheet_of
from integrations.slack.kit import (
    MOST,
    SHORT,
    Block,
    actions,
    button,
    fits,
    line,
    link,
    plain,
    rich,
    short,
    words,
)

APPROVE: Final = "approve"
DENY: Final = "deny"
REASON: Final = "reason"

_HEADER: Final = 150
_NOTICE: Final = 300
_END: Final = 600
_LINES: Final = 200


@dataclass(frozen=True, slots=True)
class Message:
    """What a message holds.

    :ivar text: what a notification says.
    """

    text: str
    blocks: list[Block]
    painted: Painted

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the methods that write messages."""
        return {
            "text": self.text, "blocks": self.blocks, "unfurl_links": False, "unfurl_media": False,
            "link_names": False, "parse": "none",
        }  # fmt: skip


def message(card: ApprovalCard) -> Message:
    """Return the message that shows a card."""
    whole = Fitting(MOST, _END)
    blocks = _blocks(card, sheet_of(card, whole), complete=True)
    if not whole.cut and fits(blocks):
        return _made(card, blocks, complete=True)
    blocks = _blocks(card, sheet_of(card, Fitting(0, _END)), complete=False)
    if not fits(blocks):
        blocks = _blocks(card, _clipped(sheet_of(card, Fitting(0, SHORT))), complete=False)
    return _made(card, blocks, complete=False)


def digest_message(digest: Digest) -> Message:
    """Return the message that lists several requests, without a control that decides.

    As many lines as fit are shown; the others are counted.
    """
    lines = [_element(Part("item", short(line))) for line in digest.lines]
    shown = lines[:_LINES]
    while not fits(blocks := _listing(digest, shown, len(lines) - len(shown))):
        shown.pop()
    text = escaped(short(f"Assentry: {digest.title}", _NOTICE))
    return Message(text, blocks, Painted({"text": text, "blocks": blocks}, complete=False))


def _listing(digest: Digest, lines: list[Block], more: int) -> list[Block]:
    counted = [line([words(f"and {more} more")])] if more else []
    head = rich([line([words(short(digest.title, _NOTICE), bold=True)])])
    return [head, rich([*lines, *counted]), actions([link(digest.action, digest.url)])]


def _made(card: ApprovalCard, blocks: list[Block], *, complete: bool) -> Message:
    text = escaped(short(f"{card.state}: {card.headline} ({card.short_digest})", _NOTICE))
    return Message(text, blocks, Painted({"text": text, "blocks": blocks}, complete=complete))


# --- what it is made of ---


def _blocks(card: ApprovalCard, sheet: Sheet, *, complete: bool) -> list[Block]:
    controls = list(_controls(card, complete=complete))
    return [
        _headline(sheet.headline),
        rich([line([words(sheet.state, bold=True)])]),
        *(rich([_title(section), *_elements(section)]) for section in sheet.sections),
        *_notes(card, complete=complete),
        *([actions(controls)] if controls else ()),
        {"type": "context", "elements": [plain(sheet.foot)]},
    ]


def _headline(text: str) -> Block:
    if 0 < len(text) <= _HEADER:
        return {"type": "header", "text": plain(text)}
    return rich([line([words(text, bold=True)])])


def _notes(card: ApprovalCard, *, complete: bool) -> Iterator[Block]:
    if not complete:
        yield rich([line([words(f"\u26a0 {INCOMPLETE}", bold=True)])])
    if card.pending and card.elsewhere:
        yield rich([line([words(card.elsewhere, bold=True)])])
    elif card.pending and card.reason_required:
        yield rich([line([words(COMMENT)])])


def _controls(card: ApprovalCard, *, complete: bool) -> Iterator[Block]:
    if card.pending and card.token and not card.elsewhere:
        if complete:
            yield _approve(card)
        if not card.reason_required:
            yield button("Deny", DENY, card.token, style="danger")
        yield button("Deny with reason", REASON, card.token)
    if card.url:
        yield link("Open" if complete else "Review in full", card.url)


def _approve(card: ApprovalCard) -> Block:
    made = button(f"Approve {card.verb}", APPROVE, card.token, style="primary")
    if card.risk not in ("high", "critical") or card.reason_required:
        return made
    confirm = {
        "title": plain(f"Risk: {card.risk}"), "text": plain(short(card.headline, _NOTICE)),
        "confirm": plain("Approve"), "deny": plain("Back"), "style": "danger",
    }  # fmt: skip
    return {**made, "confirm": confirm}


def _elements(section: Section) -> list[Block]:
    return [_element(part) for part in section.parts]


def _element(part: Part) -> Block:
    if part.kind == "payload":
        return {"type": "rich_text_preformatted", "border": 0, "elements": [words(part.text)]}
    if part.kind == "quote":
        return {"type": "rich_text_quote", "elements": [words(part.text)]}
    if part.kind == "warning":
        return line([words(f"\u26a0 {part.text}\n", bold=True)])
    if part.kind == "item":
        return line([words(f"\u2022 {part.text}\n")])
    label = [words(f"{part.label}: ", bold=True)] if part.label else []
    return line([*label, words(f"{part.text}\n")])


def _title(section: Section) -> Block:
    return line([words(f"{section.title}\n", bold=True)])


# --- what fits ---


def _clipped(sheet: Sheet) -> Sheet:
    """Return a sheet whose every part is short; such a message decides nothing."""
    sections = tuple(
        replace(section, parts=tuple(replace(part, text=short(part.text)) for part in
                                     section.parts[:6]))
        for section in sheet.sections
    )  # fmt: skip
    return replace(sheet, headline=short(sheet.headline, _NOTICE), state=short(sheet.state),
                   sections=sections)  # fmt: skip


def escaped(text: str) -> str:
    """Return a text for the field that Slack reads markup in."""
    shown = " ".join(visible_text(text).split())
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
