"""What a message says, in order, before a channel lays it out: sections of parts.

The order is that of every surface: what it does, who asks, what will run, the agent's words, who
may decide, what happened. A channel adds where one decides.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from app.core.approval_card import ApprovalCard
from app.core.card import Block

Kind = Literal["line", "item", "fact", "warning", "title", "payload", "quote", "button", "link"]

COMMENT: Final = "The policy asks for a comment with the decision."
INCOMPLETE: Final = (
    "This message does not show everything, so it cannot be approved from here. Review it in full."
)

_WHY: Final = ("Warning", "Rule", "Why")
"""Labels of the facts that say why it is asked; the others say who asks."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a message.

    :ivar kind: how it is laid out; ``payload`` and ``quote`` hold what an agent wrote.
    :ivar text: what it says; the address of a ``button`` or ``link``.
    :ivar label: what stands before it, or the words of a ``button`` or ``link``.
    """

    kind: Kind
    text: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Parts under a heading; without one where ``title`` is empty."""

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A whole message."""

    headline: str
    state: str
    sections: tuple[Section, ...]
    foot: str


@dataclass(slots=True)
class Fitting:
    """Hands out the room that what an agent wrote may take.

    :ivar room: what is left of it, as ``weigh`` counts.
    :ivar end: characters of head and of tail that are shown of what does not fit.
    :ivar weigh: returns the room that a text takes.
    :ivar cut: whether something did not fit.
    """

    room: int
    end: int
    weigh: Callable[[str], int] = len
    cut: bool = False

    def block(self, block: Block) -> Iterator[Part]:
        """Yield the parts that show a block of what will run."""
        yield Part("title", f"{block.title} ({block.note})" if block.note else block.title)
        yield from self._fitted("payload", block.whole)
        if not block.shown:
            self.cut = True

    def quote(self, text: str) -> Iterator[Part]:
        """Yield the parts that quote the agent."""
        if text:
            yield from self._fitted("quote", text)

    def _fitted(self, kind: Kind, text: str) -> Iterator[Part]:
        weight, end = self.weigh(text), self.end
        if weight <= self.room or len(text) <= 2 * end:
            self.room = max(self.room - weight, 0)
            yield Part(kind, text)
            return
        self.cut = True
        gone = text[end:-end]
        size = f"{len(gone):,} characters ({len(gone.encode()):,} bytes)"
        yield Part(kind, text[:end])
        yield Part("warning", f"{size} are not shown here.")
        yield Part(kind, text[-end:])


def sheet_of(card: ApprovalCard, fitting: Fitting) -> Sheet:
    """Return what a message says of a card, as far as the agent's own parts fit."""
    blocks = [part for block in card.running for part in fitting.block(block)]
    idle = [part for block in card.left_out for part in fitting.block(block)]
    words = [part for text in (card.reason, card.context) for part in fitting.quote(text)]
    sections = (
        Section("What it does", tuple(_risk(card))),
        Section("Who asks", tuple(_facts(card, why=False))),
        Section(card.runs, (*blocks, *_added(card))),
        Section(card.rests, tuple(idle)),
        Section("The agent says (claimed, not checked)", tuple(words)),
        Section("Who may decide", tuple(_seats(card))),
        Section("What happened", tuple(Part("item", line) for line in card.timeline)),
    )
    foot = f"Request {card.request_id}, digest {card.short_digest}"
    filled = tuple(section for section in sections if section.parts)
    return Sheet(card.headline, card.state, filled, foot)


def _seats(card: ApprovalCard) -> Iterator[Part]:
    if card.asked_for:
        yield Part("line", card.asked_for)
    for line in card.seats:
        yield Part("item", line)


def _risk(card: ApprovalCard) -> Iterator[Part]:
    yield Part("line", f"It {card.consequence}")
    if card.risk:
        yield Part("fact", "; ".join((card.risk, *card.risk_reasons)), "Risk")
    if card.urgency in ("high", "critical"):
        yield Part("fact", card.urgency, "Urgency")
    yield from _facts(card, why=True)
    for line in card.minds:
        yield Part("warning", line)


def _facts(card: ApprovalCard, *, why: bool) -> Iterator[Part]:
    for label, value in card.facts:
        if (label in _WHY) is why:
            yield Part("fact", value, label)


def _added(card: ApprovalCard) -> Iterator[Part]:
    for line in card.added:
        yield Part("fact", line, "Added by Assentry")
