"""Block Kit's parts that we use; in none of them is anything markup, a mention or a link (T6)."""

from collections.abc import Sequence
from typing import Any, Final

OPEN: Final = "open"
"""The action of buttons that only lead to our pages."""

MOST: Final = 12_000
"""Most characters of a message's blocks, each block counted with ``_BLOCK`` more; Slack's own
bound is in no document and a little higher."""

SHORT: Final = 150
"""Characters of a line where a whole one would not fit."""

_BLOCK: Final = 125
_BUTTON: Final = 75

Block = dict[str, Any]
"""A block, or an element of one, as JSON."""


def rich(elements: Sequence[Block]) -> Block:
    """Return a block of lines, preformatted texts and quotes."""
    return {"type": "rich_text", "elements": list(elements)}


def line(elements: Sequence[Block]) -> Block:
    """Return a line of words."""
    return {"type": "rich_text_section", "elements": list(elements)}


def words(text: str, *, bold: bool = False) -> Block:
    """Return plain words; an empty text, which Slack refuses, becomes a space."""
    made: Block = {"type": "text", "text": text or " "}
    return {**made, "style": {"bold": True}} if bold else made


def plain(text: str) -> Block:
    """Return a plain text; an empty one, which Slack refuses, becomes a space."""
    return {"type": "plain_text", "text": text or " ", "emoji": False}


def button(label: str, action: str, token: str, *, style: str = "") -> Block:
    """Return a button that tells us its action and carries a card's token, no more."""
    made: Block = {
        "type": "button", "action_id": action, "value": token,
        "text": plain(short(label, _BUTTON)),
    }  # fmt: skip
    return {**made, "style": style} if style else made


def link(label: str, url: str) -> Block:
    """Return a button that leads to a page of ours."""
    return {"type": "button", "action_id": OPEN, "text": plain(label), "url": url}


def actions(elements: list[Block]) -> Block:
    """Return a row of buttons."""
    return {"type": "actions", "elements": elements}


def short(text: str, most: int = SHORT) -> str:
    """Return a text that is cut where it is longer than ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}\u2026"


def fits(blocks: Sequence[Block]) -> bool:
    """Whether Slack takes so much in one message."""
    return _size(blocks) <= MOST


def _size(blocks: Sequence[Block]) -> int:
    return sum(map(_length, blocks)) + _BLOCK * len(blocks)


def _length(part: Any) -> int:
    if isinstance(part, list):
        return sum(map(_length, part))
    if not isinstance(part, dict):
        return 0
    fields: dict[str, Any] = part
    text = fields.get("text")
    own = len(text) if isinstance(text, str) else 0
    return own + sum(map(_length, fields.values()))
