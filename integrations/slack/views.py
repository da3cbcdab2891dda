"""What Slack shows besides cards: the form for a reason, lists, the home tab."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.core.approval_card import ApprovalCard
from app.core.request import Choice
from integrations.slack.kit import Block, actions, line, link, plain, rich, short, words

CALLBACK: Final = "decide"
COMMENT: Final = "comment"
_MOST_COMMENT: Final = 2000
_TITLE: Final = 24
_LINE: Final = 200
_CARDS: Final = 20


@dataclass(frozen=True, slots=True)
class Form:
    """What a form remembers between being opened and being sent; the desk checks all of it."""

    token: str
    choice: Choice

    def text(self) -> str:
        """Return it as the view's private metadata."""
        return json.dumps({"token": self.token, "choice": self.choice.value})

    @classmethod
    def read(cls, text: str) -> "Form":
        """Return what a view's private metadata says.

        :raises ValueError: it is not one of ours.
        """
        found: Any = json.loads(text)
        if not isinstance(found, dict):
            message = "not a form of ours"
            raise ValueError(message)  # noqa: TRY004 - one error for whatever is wrong
        fields: dict[str, Any] = found
        return cls(str(fields.get("token")), Choice(fields.get("choice")))


def form(card: ApprovalCard, choice: Choice) -> Block:
    """Return the modal that asks for a reason; it names the request again."""
    verb = f"Approve {card.verb}" if choice is Choice.APPROVE else "Deny"
    asked: Block = {
        "type": "input", "block_id": COMMENT, "optional": not card.reason_required,
        "label": plain("Reason"),
        "element": {"type": "plain_text_input", "action_id": COMMENT, "multiline": True,
                    "max_length": _MOST_COMMENT},
    }  # fmt: skip
    named = rich([line([words(card.headline, bold=True)])])
    foot = {"type": "context", "elements": [plain(_foot(card))]}
    return {
        "type": "modal", "callback_id": CALLBACK, "title": plain(short(verb, _TITLE)),
        "submit": plain(short(verb, _TITLE)), "close": plain("Back"),
        "blocks": [named, asked, foot],
        "private_metadata": Form(card.token, choice).text(),
    }  # fmt: skip


def said(text: str) -> Block:
    """Return the modal that says what came of a decision."""
    return {"type": "modal", "title": plain("Assentry"), "close": plain("Close"),
            "blocks": [rich([line([words(text)])])]}  # fmt: skip


def listed(cards: Sequence[ApprovalCard]) -> list[Block]:
    """Return what waits, a line and a link to each."""
    if not cards:
        return [rich([line([words("Nothing waits for you.")])])]
    return [block for card in cards[:_CARDS] for block in _lines(card)]


def home(blocks: Sequence[Block]) -> Block:
    """Return the home tab with blocks such as what waits."""
    head = {"type": "header", "text": plain("Waiting for you")}
    return {"type": "home", "blocks": [head, *blocks]}


def note(text: str, url: str = "") -> list[Block]:
    """Return a sentence, and where an account can be linked if that is what is missing."""
    said_so = rich([line([words(text)])])
    return [said_so, actions([link("Link this account", url)])] if url else [said_so]


def _lines(card: ApprovalCard) -> Iterator[Block]:
    who = next((value for label, value in card.facts if label == "Agent"), "")
    until = next((value for label, value in card.facts if label == "Expires"), "")
    rest = f"\n{card.state}. Asked by {short(who, _LINE)}; expires {until}"
    yield rich([line([words(short(card.headline, _LINE), bold=True), words(rest)])])
    yield actions([link("Review in full", card.url)])


def _foot(card: ApprovalCard) -> str:
    return f"Request {card.request_id}, digest {card.short_digest}"
