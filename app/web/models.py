"""The shapes of bodies and answers; parsing, rendering and the OpenAPI document use the same."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from app.core.instant import Instant, to_datetime
from app.web.bodies import Strict

Text = Annotated[str, Meta(max_length=2000)]
Password = Annotated[str, Meta(max_length=256)]
"""A person's own, where they prove that it is them."""

Name = Annotated[str, Meta(min_length=1, max_length=100)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
JsonDict = dict[str, Any]


def when(instant: Instant | None) -> datetime | None:
    """Return an instant as an answer shows it."""
    return None if instant is None else to_datetime(instant)


def moment(instant: Instant) -> datetime:
    """Return an instant as an answer shows it."""
    return to_datetime(instant)


class Out(msgspec.Struct, kw_only=True):
    """An answer."""


# --- requests ---


class RequestIn(Strict):
    """What an agent asks."""

    action: Annotated[str, Meta(min_length=1, max_length=128)]
    params: JsonDict = {}
    context: JsonDict = {}
    reason: Text = ""
    urgency: Literal["low", "normal", "high", "critical"] = "normal"
    target: Annotated[str, Meta(max_length=64)] | None = None
    expires_in: Annotated[int, Meta(ge=1, le=2_592_000)] | None = None
    supersedes: Id | None = None


class CallOut(Out):
    """A call of a bundle, and how it stands."""

    number: int
    target: str
    method: str
    path: str
    note: str
    status: Literal[
        "waiting", "excluded", "sent", "succeeded", "failed", "unknown", "skipped",
    ]  # fmt: skip
    sent_at: datetime | None
    finished_at: datetime | None
    outcome: JsonDict | None
    result: str


class RequestOut(Out):
    """A request; ``items`` are the calls of a bundle, where one request is answered."""

    id: str
    status: Literal[
        "pending", "approved", "executing", "succeeded", "failed", "unknown", "denied",
        "expired", "cancelled",
    ]  # fmt: skip
    kind: Literal["http", "bundle", "plain"]
    action: str
    target: str | None
    urgency: Literal["low", "normal", "high", "critical"]
    reason: str
    digest: str
    effect: Literal["allow", "deny", "review"]
    verdict: JsonDict
    quorum: int
    approvals: int
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    comment: str
    valid_until: datetime | None
    finished_at: datetime | None
    outcome: JsonDict | None
    agent_id: str
    version: int
    links: dict[str, str]
    items: list[CallOut] | msgspec.UnsetType = msgspec.UNSET


class RequestPage(Out):
    """A page of requests, newest first."""

    items: list[RequestOut]
    next: str | None
    previous: str | None


class DecisionIn(Strict):
    """A ballot about the payload with this digest; ``except`` leaves calls of a bundle out."""

    decision: Literal["approve", "deny"]
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    comment: Text = ""
    excluded: Annotated[list[Annotated[int, Meta(ge=1, le=50)]], Meta(max_length=50)] = (
        msgspec.field(name="except", default_factory=list[int])
    )
    channel: Literal["api", "cli"] = "api"
    display: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""


class QueuedIn(Strict):
    """A write for the queue: a body is JSON or text, or base64 of bytes."""

    method: Annotated[str, Meta(min_length=1, max_length=16)]
    path: Annotated[str, Meta(min_length=1, max_length=8192)]
    headers: dict[str, str] = {}
    body: Any = None
    binary: str | None = msgspec.field(name="binaryBase64", default=None)
    note: Annotated[str, Meta(max_length=500)] = ""


class QueueIn(Strict):
    """Writes at one account that are decided together and carried out in order."""

    requests: Annotated[list[QueuedIn], Meta(min_length=1, max_length=50)]
    comment: Text = ""
    on_failure: Literal["stop", "continue"] = "stop"


class BlockOut(Out):
    """A part of what will run, whole; hidden characters are written out."""

    title: str
    note: str
    text: str


class CardOut(Out):
    """What people are shown of a request; every text is safe to print as it is.

    ``display`` is the digest of what it shows; send it back with the decision. Unless it is
    ``whole``, a part of what will run is known by its digest only: do not offer to approve it,
    but show ``url``, where it can be downloaded and decided.
    """

    id: str
    digest: str
    display: str
    status: Literal[
        "pending", "approved", "executing", "succeeded", "failed", "unknown", "denied", "expired",
        "cancelled",
    ]  # fmt: skip
    state: str
    headline: str
    verb: str
    consequence: str
    urgency: str
    risk: str
    risk_reasons: list[str]
    facts: list[list[str]]
    blocks: list[BlockOut]
    added: list[str]
    reason: str
    context: str
    seats: list[str]
    timeline: list[str]
    hidden: int
    mixed: int
    pending: bool
    whole: bool
    reason_required: bool
    url: str


class SelectedIn(Strict):
    """A request of a selection, and the payload that was seen of it."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class SelectionIn(Strict):
    """One decision on several requests, each counted on its own."""

    decision: Literal["approve", "deny"]
    items: Annotated[list[SelectedIn], Meta(min_length=1, max_length=50)]
    comment: Text = ""


class SelectedOut(Out):
    """What came of one of them: whether the ballot counted, and if not, why."""

    id: str
    counted: bool
    code: str | None
    detail: str | None


class SelectionOut(Out):
    """What came of each, in the order given."""

    items: list[SelectedOut]


class NoteIn(Strict):
    """A word to go with it."""

    note: Text = ""


class SettleIn(Strict):
    """Whether an execution with unknown outcome ran, and how one knows."""

    ran: bool
    note: Annotated[str, Meta(min_length=1, max_length=2000)]


class ResultOut(Out, omit_defaults=True):
    """An upstream's answer; secrets that we injected are replaced.

    Of a command or a file over SSH the status is 0, and ``answer`` says what came of it.
    """

    status: int
    headers: list[tuple[str, str]]
    body: dict[str, str]
    truncated: bool
    redacted: int
    answer: JsonDict = {}


class AuditOut(Out):
    """A line of the record."""

    seq: int
    at: datetime
    event: str
    actor: str
    actor_name: str
    subject: str
    request_id: str | None
    details: JsonDict


class AuditPage(Out):
    """Lines of the record."""

    items: list[AuditOut]
    next: str | None = None


# --- policies ---


class PolicyUpdateIn(Strict):
    """A policy's new document, and the version it was made from."""

    document: JsonDict
    version: Annotated[int, Meta(ge=1, le=2_147_483_646)]


class PolicyOut(Out):
    """A policy; ``warnings`` says what its routes do not reach as things are."""

    id: str
    name: str
    version: int
    priority: int
    enabled: bool
    document: JsonDict
    author: str
    created_at: datetime
    updated_at: datetime
    warnings: list[str]


class PolicyList(Out):
    """All policies in the order of evaluation."""

    items: list[PolicyOut]


class VersionOut(Out):
    """One version of a policy."""

    version: int
    author: str
    created_at: datetime


class VersionList(Out):
    """The versions of a policy, newest first."""

    items: list[VersionOut]


class DryRunIn(Strict):
    """A request to try the policies on; nothing is recorded or carried out."""

    action: Annotated[str, Meta(min_length=1, max_length=128)]
    params: JsonDict = {}
    context: JsonDict = {}
    reason: Text = ""
    urgency: Literal["low", "normal", "high", "critical"] = "normal"
    target: Annotated[str, Meta(max_length=64)] | None = None
    agent: Annotated[str, Meta(min_length=1, max_length=100)] = "an-agent"
    key: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    candidate: JsonDict | None = None


class HealthOut(Out):
    """That it is there."""

    status: str
