"""Groups of people, their accounts in channels, and who stands in for whom."""

from dataclasses import dataclass

from app.core.conditions.glob import any_of, plain_glob
from app.core.instant import Instant


@dataclass(frozen=True, slots=True)
class Group:
    """A named set of people that policies may ask."""

    id: str
    name: str
    description: str
    members: tuple[str, ...]
    created_at: Instant


@dataclass(frozen=True, slots=True)
class Identity:
    """A person's account in a channel.

    :ivar account: in the channel's own form, such as ``T012:U345`` in Slack.
    :ivar label: how the channel calls them; only ever shown.
    :ivar created_by: reference of who linked it.
    """

    id: str
    channel: str
    account: str
    person_id: str
    label: str
    created_at: Instant
    created_by: str


@dataclass(frozen=True, slots=True)
class Delegation:
    """One person takes another's place for a time (PPL-4); the place is not handed on.

    :ivar actions: globs of the actions that it covers; empty covers all.
    """

    id: str
    person_id: str
    delegate_id: str
    starts_at: Instant
    ends_at: Instant
    actions: tuple[str, ...]
    note: str
    created_at: Instant
    created_by: str
    revoked_at: Instant | None = None

    def covers(self, action: str) -> bool:
        """Whether the delegation is about an action of this name."""
        return not self.actions or any_of(self.actions, plain_glob, "")(action) is True

    def live(self, now: Instant) -> bool:
        """Whether it holds at an instant."""
        return self.revoked_at is None and self.starts_at <= now < self.ends_at
