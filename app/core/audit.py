"""Audit entries as values: who did what, to what, when and why."""

from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct, field

from app.core.json_types import JsonObject, JsonValue


class ActorKind(StrEnum):
    """What kind of principal acted."""

    AGENT = "agent"
    PERSON = "person"
    POLICY = "policy"
    SYSTEM = "system"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acted; ``name`` is how a person reads it."""

    kind: ActorKind
    id: str
    name: str = ""

    @property
    def reference(self) -> str:
        """``kind:id``, the form that rows and filters use."""
        return f"{self.kind.value}:{self.id}"


SYSTEM = Actor(ActorKind.SYSTEM, "assentry", "Assentry")
NOBODY = Actor(ActorKind.NOBODY, "-", "not signed in")


class AuditEntry(Struct, frozen=True):
    """One line of the append-only record.

    :ivar event: dotted name, such as ``request.approved`` or ``key.revoked``.
    :ivar subject: ``kind:id`` of what was acted on.
    :ivar details: small JSON; never a secret, never a body.
    """

    event: str
    actor: Actor
    subject: str
    request_id: str | None = None
    details: JsonObject = field(default_factory=dict[str, JsonValue])
