"""The shapes of webhooks, deliveries, accounts, groups and delegations at the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.core.delivery import Attempt, Delivery
from app.core.instant import from_datetime
from app.core.people import Delegation, Group, Identity
from app.core.subscriptions import Filters, Subscription
from app.services.webhooks import Wanted
from app.web.bodies import Strict
from app.web.models import Id, JsonDict, Name, Out, Password, moment, when

Globs = Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(max_length=32)]
Url = Annotated[str, Meta(min_length=1, max_length=2000)]
Channel = Annotated[str, Meta(min_length=1, max_length=32)]
Address = Annotated[str, Meta(min_length=1, max_length=200)]


class FiltersIn(Strict):
    """What a subscription wants; empty means all."""

    events: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=32)] = []
    agents: Globs = []
    targets: Globs = []
    actions: Globs = []

    def value(self) -> Filters:
        """Return the filters as the core has them."""
        return Filters(
            tuple(self.events), tuple(self.agents), tuple(self.targets), tuple(self.actions)
        )


class WebhookIn(Strict):
    """A new subscription."""

    name: Name
    url: Url
    format: Literal["standard", "wake"] = "standard"
    filters: FiltersIn = msgspec.field(default_factory=FiltersIn)
    networks: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=32)] = []
    enabled: bool = True

    def value(self) -> Wanted:
        """Return what is wanted."""
        return Wanted(
            self.name, self.url, self.format, self.filters.value(), self.networks, self.enabled
        )


class WebhookUpdateIn(Strict):
    """What changes of a subscription."""

    name: Name | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    format: Literal["standard", "wake"] | UnsetType = UNSET
    filters: FiltersIn | UnsetType = UNSET
    networks: list[Annotated[str, Meta(max_length=64)]] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET

    def value(self) -> Wanted:
        """Return what is wanted."""
        given: dict[str, Any] = {
            name: value
            for name in self.__struct_fields__
            if (value := getattr(self, name)) is not UNSET
        }
        if isinstance(self.filters, FiltersIn):
            given["filters"] = self.filters.value()
        return Wanted(**given)


class WebhookOut(Out):
    """A subscription, without its secrets."""

    id: str
    name: str
    url: str
    format: Literal["standard", "wake"]
    filters: dict[str, list[str]]
    networks: list[str]
    enabled: bool
    both_secrets_until: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, item: Subscription) -> "WebhookOut":
        """Return the answer for a subscription."""
        return cls(**webhook_fields(item))


class NewWebhookOut(WebhookOut):
    """A new subscription, with the secret that is shown this once."""

    secret: str


class SecretOut(Out):
    """A new secret, shown this once."""

    secret: str


def webhook_fields(item: Subscription) -> JsonDict:
    """Return the fields of a subscription's answer."""
    names = ("events", "agents", "targets", "actions")
    return {
        "id": item.id,
        "name": item.name,
        "url": item.url,
        "format": item.format,
        "filters": {name: list(getattr(item.filters, name)) for name in names},
        "networks": list(item.networks),
        "enabled": item.enabled,
        "both_secrets_until": when(item.previous_until),
        "created_at": moment(item.created_at),
        "updated_at": moment(item.updated_at),
    }


class WebhookList(Out):
    """All subscriptions by name."""

    items: list[WebhookOut]


class DeliveryOut(Out):
    """One message to one recipient, and how far it came."""

    id: str
    kind: Literal["card", "digest", "note", "event"]
    channel: str
    recipient: str
    request_id: str | None
    event_id: str | None
    purpose: str
    state: Literal["due", "done", "held", "dead", "skipped"]
    tries: int
    next_try_at: datetime | None
    last_error: str
    created_at: datetime
    delivered_at: datetime | None

    @classmethod
    def of(cls, item: Delivery) -> "DeliveryOut":
        """Return the answer for a delivery."""
        names = ("id", "channel", "recipient", "request_id", "event_id", "purpose", "tries",
                 "last_error")  # fmt: skip
        fields: JsonDict = {name: getattr(item, name) for name in names}
        waits = item.state.value in ("due", "held")
        return cls(
            **fields, kind=item.kind.value, state=item.state.value,
            next_try_at=when(item.run_at) if waits else None,
            created_at=moment(item.created_at), delivered_at=when(item.delivered_at),
        )  # fmt: skip


class DeliveryPage(Out):
    """Deliveries, newest first."""

    items: list[DeliveryOut]
    next: str | None


class AttemptOut(Out):
    """One try of a delivery."""

    at: datetime
    milliseconds: int
    outcome: str
    detail: str

    @classmethod
    def of(cls, item: Attempt) -> "AttemptOut":
        """Return the answer for a try."""
        return cls(
            at=moment(item.at), milliseconds=item.milliseconds, outcome=item.outcome,
            detail=item.detail,
        )  # fmt: skip


class AttemptList(Out):
    """The tries of a delivery, oldest first."""

    items: list[AttemptOut]


class ResendIn(Strict):
    """Which delivery to send again; none means all dead ones."""

    delivery_id: Id | None = None


class ResentOut(Out):
    """How many are sent again."""

    deliveries: int


class ChannelOut(Out):
    """How a channel does."""

    name: str
    configured: bool
    states: dict[str, int]
    oldest_due_at: datetime | None
    last_delivered_at: datetime | None
    last_error: str


class ChannelList(Out):
    """All channels by name."""

    items: list[ChannelOut]


class IdentityIn(Strict):
    """An account to link to a person, with the password of who links it."""

    person_id: Id
    channel: Channel
    account: Address
    label: Annotated[str, Meta(max_length=200)] = ""
    password: Password = ""


class IdentityOut(Out):
    """A person's account in a channel."""

    id: str
    person_id: str
    channel: str
    account: str
    label: str
    created_at: datetime
    created_by: str

    @classmethod
    def of(cls, item: Identity) -> "IdentityOut":
        """Return the answer for an account."""
        return cls(
            id=item.id, person_id=item.person_id, channel=item.channel, account=item.account,
            label=item.label, created_at=moment(item.created_at), created_by=item.created_by,
        )  # fmt: skip


class IdentityList(Out):
    """Accounts by channel."""

    items: list[IdentityOut]


class GroupIn(Strict):
    """A group and its members."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    description: Annotated[str, Meta(max_length=200)] = ""
    members: Annotated[list[Id], Meta(max_length=1000)] = []


class GroupOut(Out):
    """A group and its members."""

    id: str
    name: str
    description: str
    members: list[str]
    created_at: datetime

    @classmethod
    def of(cls, item: Group) -> "GroupOut":
        """Return the answer for a group."""
        return cls(id=item.id, name=item.name, description=item.description,
                   members=list(item.members), created_at=moment(item.created_at))  # fmt: skip


class GroupList(Out):
    """All groups by name."""

    items: list[GroupOut]


class DelegationIn(Strict):
    """Who takes whose place, and when, with the password of who says so."""

    delegate_id: Id
    starts_at: datetime
    ends_at: datetime
    actions: Globs = []
    note: Annotated[str, Meta(max_length=200)] = ""
    person_id: Id | None = None
    password: Password = ""

    def value(self) -> JsonDict:
        """Return the arguments of the service."""
        return {
            "delegate_id": self.delegate_id, "starts_at": from_datetime(self.starts_at),
            "ends_at": from_datetime(self.ends_at), "actions": self.actions, "note": self.note,
            "person_id": self.person_id, "password": self.password,
        }  # fmt: skip


class DelegationOut(Out):
    """Who takes whose place, and when."""

    id: str
    person_id: str
    delegate_id: str
    starts_at: datetime
    ends_at: datetime
    actions: list[str]
    note: str
    created_by: str
    revoked_at: datetime | None

    @classmethod
    def of(cls, item: Delegation) -> "DelegationOut":
        """Return the answer for a delegation."""
        return cls(
            id=item.id, person_id=item.person_id, delegate_id=item.delegate_id,
            starts_at=moment(item.starts_at), ends_at=moment(item.ends_at),
            actions=list(item.actions), note=item.note, created_by=item.created_by,
            revoked_at=when(item.revoked_at),
        )  # fmt: skip


class DelegationList(Out):
    """Delegations, newest first."""

    items: list[DelegationOut]


class PreferenceIn(Strict):
    """How one wants to be told in a channel."""

    quiet_from: Annotated[str, Meta(max_length=8)] = ""
    quiet_to: Annotated[str, Meta(max_length=8)] = ""
    zone: Annotated[str, Meta(max_length=64)] = "UTC"
    digest_seconds: Annotated[int, Meta(ge=0, le=86_400)] = 0
    muted: bool = False


class PreferencesOut(Out):
    """What one set, by channel."""

    channels: dict[str, JsonDict]
