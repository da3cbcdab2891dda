"""Paints cards as embeds and buttons (CH-2).

What an agent wrote stands in fences or behind backslashes, in embeds of its own, and never in a
message's content; the only links and buttons are ours (T6). What does not fit into Discord's
limits is shown by head and tail with an exact count of the rest, and such a message has no
button that approves (T4). See "Embed Limits" and "Anatomy of a Component" in Discord's documents.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from app.core.approval_card import ApprovalCard, Painted
from app.core.json_types import JsonObject, JsonValue
from app.core.ports import Digest
from app.core.request import Status
from integrations.discord.acts import Act, custom_id
from integrations.discord.markdown import escaped, fenced, size
from integrations.sheet import COMMENT, INCOMPLETE, Fitting, Part, Section, Sheet, sheet_of

TOTAL: Final = 6_000
"""Most characters of all embeds of a message together."""

DESCRIPTION: Final = 4_096
TITLE: Final = 256

_LABEL: Final = 80
_URL: Final = 512
_ENDS: Final = (1_200, 500, 200, 60)
_SHORTS: Final = (1_000, 300, 100, 40)
_LINES: Final = 8
_INBOX: Final = 200
_WORDS: Final = "The agent says (claimed, not checked)"
_RUNS: Final = "What will run"
_GREY: Final = 0x80848E

_COLOURS: Final = {
    Status.PENDING: 0xF0B232, Status.APPROVED: 0x23A55A, Status.EXECUTING: 0x3B82F6,
    Status.SUCCEEDED: 0x23A55A, Status.DENIED: 0xDA373C, Status.FAILED: 0xDA373C,
    Status.UNKNOWN: 0x9333EA,
}  # fmt: skip
_SHAPES: Final = {
    Status.PENDING: "\u25d4", Status.APPROVED: "\u2714", Status.EXECUTING: "\u25b6",
    Status.SUCCEEDED: "\u2714", Status.DENIED: "\u2716", Status.FAILED: "\u2716",
    Status.UNKNOWN: "\u003f",
}  # fmt: skip

_Embed = dict[str, JsonValue]


def message(card: ApprovalCard) -> Painted:
    """Return the message that shows a card: ``embeds`` and ``components``."""
    fitting = Fitting(TOTAL, 0, _weightless)
    whole = _embeds(card, sheet_of(card, fitting), complete=True)
    if not fitting.cut and _fits(whole):
        return _painted(card, whole, complete=True)
    for end, short in zip(_ENDS, _SHORTS, strict=True):
        sheet = _clipped(sheet_of(card, Fitting(0, end)), short)
        embeds = _embeds(card, sheet, complete=False)
        if _fits(embeds):
            return _painted(card, embeds, complete=False)
    return _painted(card, [_bare(card)], complete=False)


def digest_message(digest: Digest) -> Painted:
    """Return the message that lists several requests, without a control that decides."""
    lines = [f"\u2022 {escaped(_short(line, _INBOX))}" for line in digest.lines]
    embed = _listing(digest.title, lines, digest.url)
    return Painted(_body([embed], _rows([_link(digest.action, digest.url)])), complete=False)


def inbox_message(cards: Sequence[ApprovalCard]) -> Painted:
    """Return the message that lists what waits for a person."""
    if not cards:
        return Painted(_body([{"description": "Nothing waits for you.", "color": _GREY}], []))
    lines = [
        f"\u2022 {escaped(_short(card.headline, _INBOX))}\n{escaped(card.request_id)}"
        for card in cards
    ]
    count = f"{len(cards)} requests wait" if len(cards) > 1 else "1 request waits"
    return Painted(_body([_listing(f"{count} for you", lines, "")], []), complete=False)


def _painted(card: ApprovalCard, embeds: list[_Embed], *, complete: bool) -> Painted:
    return Painted(_body(embeds, _rows(_controls(card, complete=complete))), complete=complete)


def _body(embeds: list[_Embed], rows: list[JsonValue]) -> JsonObject:
    return {"embeds": list[JsonValue](embeds), "components": rows}


# --- what it is made of ---


def _embeds(card: ApprovalCard, sheet: Sheet, *, complete: bool) -> list[_Embed]:
    colour = _COLOURS.get(card.status, _GREY)
    parts = {section.title: section.parts for section in sheet.sections}
    apart = {title: parts.pop(title) for title in (_RUNS, _WORDS) if title in parts}
    last = [name for name in ("Who may decide", "What happened") if name in parts]
    tail = [line for name in last for line in (_bold(name), *_lines(parts.pop(name)))]
    head = [line for section in parts.values() for line in _lines(section)]
    title = escaped(sheet.headline)
    above = [] if 0 < size(title) <= TITLE else [_bold(sheet.headline)]
    state = f"{_SHAPES.get(card.status, chr(0x25A0))} {_bold(sheet.state)}"
    first = [*above, state, *_notes(card, complete=complete), *head]
    titles = {} if above else {"title": title}
    return [
        {**titles, "description": "\n".join(first), "color": colour},
        *(_section(name, inside, colour) for name, inside in apart.items()),
        {"description": "\n".join(tail), "footer": {"text": sheet.foot}, "color": colour},
    ]


def _section(name: str, parts: tuple[Part, ...], colour: int) -> _Embed:
    """Return an embed for what an agent wrote; its own words have another edge (T7)."""
    shown = _GREY if name == _WORDS else colour
    return {"title": name, "description": "\n".join(_lines(parts)), "color": shown}


def _lines(parts: tuple[Part, ...]) -> Iterator[str]:
    for part in parts:
        if part.kind in ("payload", "quote"):
            shown, written_out = fenced(part.text)
            yield shown
            if written_out:
                yield _warning(f"{written_out:,} of these characters are written out as \\u{{…}}.")
        elif part.kind == "warning":
            yield _warning(part.text)
        elif part.kind == "title":
            yield _bold(part.text)
        elif part.kind == "item":
            yield f"\u2022 {escaped(part.text)}"
        else:
            yield f"{_bold(part.label + ':')} " * bool(part.label) + escaped(part.text)


def _notes(card: ApprovalCard, *, complete: bool) -> Iterator[str]:
    if not complete:
        yield _warning(INCOMPLETE)
    if card.pending and card.elsewhere:
        yield _bold(card.elsewhere)
    elif card.pending and card.reason_required:
        yield escaped(COMMENT)
    if card.url and not _is_linkable(card.url):
        yield f"{'Open' if complete else 'Review in full'}: {card.url}"


def _bold(text: str) -> str:
    return f"**{escaped(text)}**" if text.strip() else escaped(text)


def _warning(text: str) -> str:
    return f"\u26a0 {_bold(text)}"


def _listing(title: str, lines: list[str], url: str) -> _Embed:
    """Return an embed of as many lines as fit; the others are counted."""
    extra = [url] if url and not _is_linkable(url) else []
    shown = list(lines)
    while size("\n".join(shown)) + size(url) > DESCRIPTION - 100:
        shown.pop()
    if len(shown) < len(lines):
        shown.append(f"and {len(lines) - len(shown)} more")
    text = "\n".join([*extra, *shown])
    return {"title": escaped(_short(title, TITLE // 3)), "description": text, "color": _GREY}


# --- controls ---


def _controls(card: ApprovalCard, *, complete: bool) -> list[_Embed]:
    made: list[_Embed] = []
    if card.pending and card.token and not card.elsewhere:
        asked = card.reason_required
        if complete:
            made.append(_button(_approve(card), 3, Act("approve", card.token, asks=asked)))
        if not asked:
            made.append(_button("Deny", 4, Act("deny", card.token)))
        made.append(_button("Deny with reason", 4 if asked else 2,
                            Act("deny", card.token, asks=True)))  # fmt: skip
    return [*made, _link("Open" if complete else "Review in full", card.url)]


def _approve(card: ApprovalCard) -> str:
    label = f"Approve {card.verb}".strip()
    return label if size(label) <= _LABEL else "Approve"


def _button(label: str, style: int, act: Act) -> _Embed:
    return {"type": 2, "style": style, "label": label, "custom_id": custom_id(act)}


def _link(label: str, url: str) -> _Embed:
    return {"type": 2, "style": 5, "label": label, "url": url} if _is_linkable(url) else {}


def _is_linkable(url: str) -> bool:
    """Whether Discord takes an address for a button; others are written out as text."""
    return url.startswith("https://") and size(url) <= _URL


def _rows(buttons: list[_Embed]) -> list[JsonValue]:
    shown: list[JsonValue] = [button for button in buttons if button]
    return [{"type": 1, "components": shown}] if shown else []


# --- what fits ---


def _weightless(_text: str) -> int:
    return 0


def _fits(embeds: list[_Embed]) -> bool:
    texts = [
        (str(embed.get("title", "")), str(embed["description"]), _foot(embed)) for embed in embeds
    ]
    return (
        all(size(title) <= TITLE and size(text) <= DESCRIPTION for title, text, _ in texts)
        and sum(size(part) for parts in texts for part in parts) <= TOTAL
    )


def _foot(embed: _Embed) -> str:
    footer = embed.get("footer")
    return str(footer["text"]) if isinstance(footer, dict) else ""


def _clipped(sheet: Sheet, most: int) -> Sheet:
    """Return a sheet whose every line of ours is short; such a message approves nothing."""

    def clip(part: Part) -> Part:
        return part if part.kind in ("payload", "quote") else replace(
            part, text=_short(part.text, most))  # fmt: skip

    sections = tuple(_first(section, clip) for section in sheet.sections)
    return replace(sheet, headline=_short(sheet.headline, most), state=_short(sheet.state, most),
                   sections=sections)  # fmt: skip


def _first(section: Section, clip: Callable[[Part], Part]) -> Section:
    kept = tuple(map(clip, section.parts[: 2 * _LINES]))
    gone = len(section.parts) - len(kept)
    more = (Part("warning", f"{gone} more lines are not shown here."),) if gone else ()
    return replace(section, parts=(*kept, *more))


def _bare(card: ApprovalCard) -> _Embed:
    """Return what is left of a card that fits in no other way."""
    text = [_bold(_short(card.headline, _INBOX)), _warning(INCOMPLETE)]
    if card.url and not _is_linkable(card.url):
        text.append(card.url[:_URL])
    foot = f"Request {card.request_id}, digest {card.short_digest}"
    return {"description": "\n".join(text), "footer": {"text": foot}, "color": _GREY}


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
