"""The few ports: where there are two real implementations, or a foreign system."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol, TypeVar, runtime_checkable

from app.core.approval_card import ApprovalCard
from app.core.errors import AssentryError
from app.core.json_types import JsonObject, JsonValue
from app.core.outcome import Injection, Outcome
from app.core.request import Choice
from app.core.ssh_marker import Marker
from app.core.tokens import TokenCall, TokenSet

PlanT_contra = TypeVar("PlanT_contra", contravariant=True)

MarkSent = Callable[[], Awaitable[None]]
"""Awaited once, just before the first byte leaves; it raises when the holder must stop."""


class Listener(Protocol):
    """Who waits for an answer and takes it while it comes.

    :ivar begun: the head was taken.
    :ivar hang_up: set by the executor; called when the caller is gone, or with the code of what
        else ends it.
    """

    begun: bool
    hang_up: Callable[..., None]

    async def begin(
        self, status: int, headers: tuple[tuple[str, str], ...], length: int | None
    ) -> None:
        """Take the head; ``length`` is the body's, where that is sure."""
        ...


class Relay(Listener, Protocol):
    """A listener to an answer of HTTP, which has a body."""

    async def piece(self, data: bytes | memoryview) -> None:
        """Take a piece of the body; returns when there is room for the next."""
        ...


Spoken = str | bytes
"""One message over a WebSocket: text or binary."""

MESSAGE_BYTES: Final = 1 << 20
"""Bytes of the longest message, either way."""

MESSAGE_PARTS: Final = 1024
"""Parts in which a message may come, either way: empty ones would fill the memory."""

UNREAD_BYTES: Final = 4 << 20
"""Bytes that may wait for an end that asks and does not read; it is cut off then."""


class Conversation(Listener, Protocol):
    """Who holds the other end of a WebSocket: takes messages, and says some.

    :ivar left: with which code it left (RFC 6455, section 7.4), once :meth:`heard` gave None.
    :ivar ending: code and reason with which it is to be closed; set by the executor.
    """

    left: int
    ending: tuple[int, str]

    async def heard(self) -> "Spoken | None":
        """Return the next message from there; None when there are no more."""
        ...

    async def say(self, message: "Spoken") -> None:
        """Take a message; returns when there is room for the next."""
        ...


class Executor(Protocol[PlanT_contra]):
    """Carries out one kind of action, from plans of that kind."""

    kind: ClassVar[str]
    """The kind of action, as in ``core.action.Kind``."""

    async def execute(
        self,
        plan: PlanT_contra,
        injection: Injection,
        mark_sent: MarkSent,
        relay: Listener | None = None,
    ) -> Outcome:
        """Carry out a plan once.

        :param relay: takes an answer that is not small while it comes; without one, the answer is
            collected up to the plan's limit.
        :raises NotStarted: nothing was sent.
        :raises Ambiguous: something was sent and no definite answer came.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class Warm(Protocol[PlanT_contra]):
    """An executor that keeps connections."""

    def is_warm(self, plan: PlanT_contra) -> bool:
        """Whether a connection for the plan stands, as far as is known, so that it leaves at once.

        A hint, asked on any thread: carrying it out checks again.
        """
        ...


@runtime_checkable
class LooksBack(Protocol[PlanT_contra]):
    """An executor that can look at what a plan left behind."""

    async def look_back(self, plan: PlanT_contra, injection: Injection) -> Marker:
        """Return what the marker of a command says whose end nobody saw; runs nothing of it.

        :raises NotStarted: it could not be looked at.
        """
        ...


class DeliveryFailed(Exception):
    """A message could not be delivered; the text is ours, without the vendor's or any secret.

    :ivar retry_after: seconds that the other side asked us to wait, or None.
    :ivar permanent: trying again cannot help (no such channel, refused recipient, 410).
    """

    def __init__(
        self, detail: str, *, retry_after: float | None = None, permanent: bool = False
    ) -> None:
        """Say what happened."""
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class Posted:
    """A message that the other side took.

    :ivar reference: where it stands, in the channel's own words, to change it later.
    :ivar display: digest of what it showed (``approval_card.Painted.display``).
    :ivar complete: whether it showed everything; without that it decides nothing.
    """

    reference: JsonObject = field(default_factory=dict[str, JsonValue])
    display: str = ""
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Digest:
    """Several lines in one message (T9), such as what waits, and where to see more.

    :ivar lines: one for each request: headline, agent, when it expires; made visible already.
    :ivar action: what the link says.
    :ivar urls: the page of each line, or nothing.
    """

    title: str
    lines: tuple[str, ...]
    url: str
    action: str = "Review them"
    urls: tuple[str, ...] = ()


class Channel(Protocol):
    """Shows cards to people in one foreign product; knows no rule."""

    name: ClassVar[str]
    """``slack``, ``discord``, ``email``; the name in routes and settings."""

    wants_link: ClassVar[bool]
    """Whether a card for one person carries a one-click link, because it has no buttons."""

    async def deliver(self, card: ApprovalCard, recipient: str) -> Posted:
        """Show a card to a recipient (an address of the channel's own form).

        :raises DeliveryFailed: it was not taken.
        """
        ...

    async def refresh(self, card: ApprovalCard, recipient: str, reference: JsonObject) -> Posted:
        """Bring an earlier message to what the card says now; harmless when repeated.

        :raises DeliveryFailed: it was not taken.
        """
        ...

    async def digest(self, digest: Digest, recipient: str) -> Posted:
        """Show several requests in one message, without controls.

        :raises DeliveryFailed: it was not taken.
        """
        ...

    async def check(self) -> str:
        """Return who the other side says that we are, for ``doctor`` and the health page.

        :raises DeliveryFailed: it does not answer, or does not know us.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody in a channel, as the channel itself vouches for (T17); never a display name.

    :ivar id: the channel's own, such as ``T012:U345`` in Slack; what identities are linked by.
    :ivar name: how the channel calls them; only ever shown.
    """

    channel: str
    id: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What a desk answers to a ballot that it took: a sentence, and the card as it is now."""

    text: str
    card: ApprovalCard


class Desk(Protocol):
    """Where a channel takes what people do there. It knows who may do what; a channel does not.

    Every method raises an ``AssentryError`` for a refusal, whose ``detail`` may be shown to the
    person; for somebody unknown that is ``NotLinked``, whose ``extra["url"]`` is a page where
    they can link the account after signing in.
    """

    async def cast(self, account: Account, token: str, choice: Choice, comment: str = "") -> Said:
        """Count a ballot on the card with this token."""
        ...

    async def card(self, account: Account, token: str) -> ApprovalCard:
        """Return the card with this token as it stands now (for a form that asks a reason)."""
        ...

    async def show(self, account: Account, request_id: str) -> ApprovalCard:
        """Return the card of a request, without a token: to be read, not to be decided on."""
        ...

    async def inbox(self, account: Account) -> tuple[ApprovalCard, ...]:
        """Return the cards of what waits for this person, newest first, at most twenty."""
        ...

    async def turned_away(self, account: Account, error: AssentryError) -> None:
        """Record that a channel refused somebody before asking the desk."""
        ...

    async def unproven(self, channel: str, address: str) -> None:
        """Record that something came to a channel's door without proof that the product sent it."""
        ...


class Inbound(Protocol):
    """The way in of a channel: what people press there comes to a desk."""

    def routes(self) -> Sequence[Any]:
        """Return the HTTP routes (of the web framework) that the product calls, if any."""
        ...

    async def run(self) -> None:
        """Hold the long-lived connection until cancelled; return at once when there is none."""
        ...


class LinkSigner(Protocol):
    """Makes one-click links of link ids, and reads them back; the row behind decides."""

    def sign(self, link_id: str) -> str:
        """Return the token that stands in the link."""
        ...

    def read(self, token: str) -> str:
        """Return the link id of a token.

        :raises ValueError: it is not one of ours, or it is too old.
        """
        ...


@dataclass(frozen=True, slots=True)
class LinkView:
    """What the page behind a link shows.

    :ivar made_for: the person whom the link was made for.
    :ivar sign_in: why that person must sign in before deciding here; empty when a link is enough.
    :ivar form: one-time token that the page's form must send back; empty when nothing can be
        decided here.
    """

    card: ApprovalCard
    made_for: str
    sign_in: str
    form: str


class LinkDesk(Protocol):
    """What the pages of links ask; refusals are ``AssentryError``s whose detail may be shown."""

    async def view(self, link_id: str) -> LinkView:
        """Return what to show; changes nothing that matters (a GET may be a scanner's)."""
        ...

    async def cast(self, link_id: str, form: str, choice: Choice, comment: str) -> Said:
        """Count a ballot cast on the page."""
        ...

    async def turned_away(self, link_id: str, error: AssentryError) -> None:
        """Record that a form was refused; the link's id is empty where it could not be read."""
        ...


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one subscriber is sent.

    :ivar id: of the event; the same however often it is sent.
    :ivar secrets: signing secrets, the current one first; the ones before live for a day.
    :ivar bearer: whether the secret is sent as a bearer token, as agent runtimes want it.
    :ivar networks: CIDRs of private networks that may be connected to.
    """

    id: str
    url: str
    body: bytes
    secrets: tuple[str, ...]
    networks: tuple[str, ...] = ()
    bearer: bool = False


class Announcer(Protocol):
    """Tells subscribers (programs) what happened."""

    async def send(self, parcel: Parcel) -> int:
        """Send a parcel once and return the status of the answer, which is a success.

        :raises DeliveryFailed: it was not taken.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class TokenEndpoint(Protocol):
    """The token endpoints of services (RFC 6749), asked once a call and never redirected."""

    async def ask(self, call: TokenCall) -> TokenSet:
        """Return the tokens that a service gave.

        :raises TokenRefused: it said definitely no.
        :raises TokenUnavailable: no token came, for any other reason.
        """
        ...

    async def revoke(self, call: TokenCall) -> None:
        """Give a token back.

        :raises TokenUnavailable: the service did not say that it took it.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
