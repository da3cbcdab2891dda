"""The events of a request's life, as values. ``lifecycle.TABLE`` says what each one leads to."""

from dataclasses import dataclass
from typing import ClassVar

from app.core.audit import Actor
from app.core.json_types import JsonObject
from app.core.request import Ballot
from app.core.routing import ANY_PLACE, Place


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to a request; ``past`` names it in the audit."""

    actor: Actor

    past: ClassVar[str] = "changed"

    def details(self) -> JsonObject:
        """Return what the audit entry keeps of it; small, and never a secret."""
        return {}


@dataclass(frozen=True, slots=True)
class Submit(Event):
    """An agent asks; ``inline`` when its door executes an allowed action at once."""

    inline: bool = False

    past: ClassVar[str] = "submitted"


@dataclass(frozen=True, slots=True)
class _Cast(Event):
    ballot: Ballot
    place: Place = ANY_PLACE

    def details(self) -> JsonObject:
        """Return what the audit entry keeps of it."""
        excluded = self.ballot.excluded
        return {
            "choice": self.ballot.choice.value,
            "comment": self.ballot.comment,
            "channel": self.ballot.channel,
            "shown": self.ballot.digest,
            "display": self.ballot.display,
            "assurance": int(self.ballot.assurance),
            **({"except": list(excluded)} if excluded else {}),
            **self.place.details(),
        }


@dataclass(frozen=True, slots=True)
class Approve(_Cast):
    """An entitled person says yes.

    :ivar filled: seats that are filled with this vote.
    """

    filled: int = 1

    past: ClassVar[str] = "approved"


@dataclass(frozen=True, slots=True)
class Deny(_Cast):
    """An entitled person says no.

    :ivar needed: votes against that end the request.
    """

    needed: int = 1

    past: ClassVar[str] = "denied"


@dataclass(frozen=True, slots=True)
class Escalate(Event):
    """The next step of the ladder is taken.

    :ivar seconds: until the step after it, or None when it is the last one.
    :ivar deny: this step ends the request: nobody decided in time.
    """

    seconds: int | None = None
    deny: bool = False

    past: ClassVar[str] = "escalated"


@dataclass(frozen=True, slots=True)
class Expire(Event):
    """Time is over, for a decision or for the use of a grant."""

    past: ClassVar[str] = "expired"


@dataclass(frozen=True, slots=True)
class Cancel(Event):
    """The requester withdraws it, or it is revoked; ``code`` says which."""

    code: str = "withdrawn"
    note: str = ""

    past: ClassVar[str] = "cancelled"

    def details(self) -> JsonObject:
        """Return what the audit entry keeps of it."""
        return {"code": self.code, "note": self.note}


@dataclass(frozen=True, slots=True)
class Claim(Event):
    """A worker takes it for execution under a lease."""

    worker: str
    lease_seconds: float

    past: ClassVar[str] = "claimed"

    def details(self) -> JsonObject:
        """Return what the audit entry keeps of it."""
        return {"worker": self.worker}


@dataclass(frozen=True, slots=True)
class _Holder(Event):
    """Something that only the present holder, known by its fence, may report."""

    fence: int
    outcome: str | None = None

    def details(self) -> JsonObject:
        """Return what the audit entry keeps of it."""
        return {"fence": self.fence, "outcome": self.outcome}


@dataclass(frozen=True, slots=True)
class Advance(_Holder):
    """A call of a bundle has its end, and the holder goes on; what came before is settled.

    :ivar number: of the call, and ``became`` what became of it.
    :ivar lease_seconds: how long the holder may be busy with what comes next.
    """

    number: int = 0
    became: str = ""
    lease_seconds: float = 0.0

    past: ClassVar[str] = "advanced"

    def details(self) -> JsonObject:
        """Return what the audit entry keeps of it."""
        return {**_Holder.details(self), "number": self.number, "became": self.became}


@dataclass(frozen=True, slots=True)
class Release(_Holder):
    """The executor proved that nothing was sent."""

    past: ClassVar[str] = "released"


@dataclass(frozen=True, slots=True)
class Succeed(_Holder):
    """The upstream answered that it was done."""

    past: ClassVar[str] = "succeeded"


@dataclass(frozen=True, slots=True)
class Fail(_Holder):
    """A definite failure."""

    past: ClassVar[str] = "failed"


@dataclass(frozen=True, slots=True)
class Lose(_Holder):
    """The holder is gone or in doubt; ``idempotent`` when a repeat does no harm."""

    idempotent: bool = False

    past: ClassVar[str] = "lost"


@dataclass(frozen=True, slots=True)
class Settle(Event):
    """A named human says of an unknown outcome whether it ran.

    :ivar complete: whether everything is done if it ran; calls of a bundle may be left undone.
    """

    ran: bool
    note: str
    outcome: str | None = None
    complete: bool = True

    past: ClassVar[str] = "settled"

    def details(self) -> JsonObject:
        """Return what the audit entry keeps of it."""
        return {"ran": self.ran, "note": self.note}
