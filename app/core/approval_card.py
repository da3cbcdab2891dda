"""The approval card: one request as every surface outside the dashboard shows it.

Every text in it is safe to show: hidden characters are written out (``core.visible``), so that a
painter only escapes what its own markup would take for more than text. The order is that of
every surface: verb and target, risk, who asks, what will run, the agent's words, who may decide,
what happened.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from app.core.canonical import canonical
from app.core.card import Block, Card
from app.core.json_types import JsonValue
from app.core.request import Status
from app.core.visible import visible

_WRITTEN_OUT: Final = "written out as \\u{…}."
_RUNS: Final = {
    Status.EXECUTING: "What is running", Status.SUCCEEDED: "What ran", Status.FAILED: "What ran",
    Status.UNKNOWN: "What may have run",
    **dict.fromkeys((Status.DENIED, Status.EXPIRED, Status.CANCELLED), "What would have run"),
}  # fmt: skip
_MIXED: Final = "written in mixed or look-alike letters, which may not be what they seem."


@dataclass(frozen=True, slots=True)
class ApprovalCard:
    """What people are shown of a request outside the dashboard.

    :ivar digest: SHA-256 of the stored action, in hex.
    :ivar version: of the request; a higher one is newer.
    :ivar state: where it stands, in one line of ours, such as ``Approved by Ada in slack``.
    :ivar headline: verb and target in one line.
    :ivar verb: what the approve button says after "Approve".
    :ivar consequence: what such an action does, in a word or two.
    :ivar risk: ``low``, ``medium``, ``high`` or ``critical``; empty when nothing was declared.
    :ivar risk_reasons: why, the strongest first.
    :ivar facts: label and value of what we know: rule, agent, owner, times, digest.
    :ivar blocks: exactly what will run.
    :ivar added: what the vault adds, named without values.
    :ivar reason: the agent's words.
    :ivar context: the agent's further words, as JSON text.
    :ivar seats: who may decide, and who has, a line each.
    :ivar timeline: what happened so far, a line each.
    :ivar hidden: how many characters had to be written out.
    :ivar mixed: how many words mix scripts.
    :ivar pending: whether it can still be decided.
    :ivar reason_required: whether a decision needs a comment.
    :ivar deletes: whether a call of it is a DELETE, which may not be undone.
    :ivar sent: whether anything of it may have left; counts where it failed.
    :ivar idle: numbers of the calls of a bundle that do not run though it was approved.
    :ivar token: opaque name of this copy of the card; what a button carries.
    :ivar url: the request's page, to review it in full.
    :ivar link: a one-click link made for the recipient, where the channel wants one.
    :ivar elsewhere: where alone a decision counts, in a sentence, when it does not in chat.
    :ivar asked_for: in whose place its one recipient is asked, in a sentence; or empty.
    """

    request_id: str
    digest: str
    version: int
    status: Status
    state: str
    headline: str
    verb: str
    consequence: str
    urgency: str
    risk: str
    risk_reasons: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    blocks: tuple[Block, ...]
    added: tuple[str, ...]
    reason: str
    context: str
    seats: tuple[str, ...]
    timeline: tuple[str, ...]
    hidden: int
    mixed: int
    pending: bool
    reason_required: bool
    deletes: bool = False
    sent: bool = True
    idle: frozenset[int] = frozenset()
    token: str = ""
    url: str = ""
    link: str = ""
    elsewhere: str = ""
    asked_for: str = ""

    @property
    def whole(self) -> bool:
        """Whether every byte of what will run is on the card, or some of it only by digest."""
        return all(block.shown for block in self.blocks)

    @property
    def short_digest(self) -> str:
        """The digest's first twelve digits, as every surface shows it."""
        return self.digest[:12]

    @property
    def runs(self) -> str:
        """The heading over what will run, or would have, or ran, as things stand."""
        if self.status is Status.FAILED and not self.sent:
            return "What would have run"
        return _RUNS.get(self.status, "What will run")

    @property
    def running(self) -> tuple[Block, ...]:
        """The blocks that stand under that heading."""
        return tuple(block for block in self.blocks if block.call not in self.idle)

    @property
    def rests(self) -> str:
        """The heading over the calls that do not run though the request was approved."""
        ended = self.status in (Status.SUCCEEDED, Status.FAILED, Status.UNKNOWN)
        return "What did not run" if ended else "What does not run"

    @property
    def left_out(self) -> tuple[Block, ...]:
        """The blocks of calls that do not run; they stand apart."""
        return tuple(block for block in self.blocks if block.call in self.idle)

    @property
    def minds(self) -> tuple[str, ...]:
        """What a reader must mind of how it is written, a line each; the same on every surface."""
        lines: list[str] = []
        if self.hidden:
            lines.append(f"{_counted(self.hidden, 'hidden character')} {_WRITTEN_OUT}")
        if self.mixed:
            lines.append(f"{_counted(self.mixed, 'word')} {_MIXED}")
        return tuple(lines)

    @property
    def display(self) -> str:
        """Digest of what a page that shows the whole card shows of the action."""
        blocks = [[item.title, item.note, item.text, item.exact] for item in self.blocks]
        shown = [self.headline, blocks, list(self.added), self.reason, self.context]
        return hashlib.sha256(canonical(shown)).hexdigest()


@dataclass(frozen=True, slots=True)
class Standing:
    """What an approval card says besides the action itself; plain texts, not yet made visible."""

    request_id: str
    digest: str
    version: int
    status: Status
    state: str
    urgency: str
    risk: str
    risk_reasons: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    seats: tuple[str, ...]
    timeline: tuple[str, ...]
    pending: bool
    reason_required: bool
    url: str
    sent: bool = True
    elsewhere: str = ""
    asked_for: str = ""
    idle: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Counter:
    """Makes texts visible and counts what had to be written out."""

    hidden: int = 0
    mixed: int = 0

    def show(self, text: str) -> str:
        shown = visible(text)
        self.hidden += shown.hidden
        self.mixed += shown.mixed
        return shown.text

    def line(self, text: str) -> str:
        return self.show(text.replace("\n", "\\n").replace("\t", "\\t"))

    def block(self, block: Block) -> Block:
        """Return a block made visible; what stands in both of its forms counts once."""
        self.show(block.whole)
        return replace(
            block, text=visible(block.text).text, note=self.line(block.note),
            exact=visible(block.exact).text,
        )  # fmt: skip


def approval_card(card: Card, standing: Standing) -> ApprovalCard:
    """Return the card of a request with everything in it made visible.

    The headline repeats what is in the blocks, and is not counted again.
    """
    count = _Counter()
    shown = ApprovalCard(
        request_id=standing.request_id,
        digest=standing.digest,
        version=standing.version,
        status=standing.status,
        state=count.line(standing.state),
        headline=_Counter().line(card.headline),
        verb=_Counter().line(card.verb),
        consequence=card.consequence,
        urgency=standing.urgency,
        risk=standing.risk,
        risk_reasons=tuple(map(count.line, standing.risk_reasons)),
        facts=tuple((label, count.line(value)) for label, value in standing.facts),
        blocks=tuple(map(count.block, card.blocks)),
        added=tuple(map(count.line, card.added)),
        reason=count.show(card.reason),
        context=count.show(card.context),
        seats=tuple(map(count.line, standing.seats)),
        timeline=tuple(map(count.line, standing.timeline)),
        hidden=0,
        mixed=0,
        pending=standing.pending,
        reason_required=standing.reason_required,
        deletes=card.deletes,
        url=standing.url,
        sent=standing.sent,
        elsewhere=standing.elsewhere,
        asked_for=count.line(standing.asked_for),
        idle=standing.idle,
    )
    return replace(shown, hidden=count.hidden, mixed=count.mixed)


@dataclass(frozen=True, slots=True)
class Painted:
    """A card as one surface shows it.

    :ivar body: in the surface's own form: blocks, an embed, texts.
    :ivar complete: whether every byte of what will run is on it; without that there is no
        approve control, and a click on one is refused.
    """

    body: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    complete: bool = True

    @property
    def display(self) -> str:
        """The display digest: SHA-256, in hex, of exactly what the surface showed."""
        return hashlib.sha256(canonical(dict(self.body))).hexdigest()


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun} is" if count == 1 else f"{count:,} {noun}s are"
