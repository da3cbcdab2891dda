"""The shapes of credentials, leave to use them, and handles at the wire."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from app.core.credentials import KINDS
from app.core.targets import Credential
from app.services.handles import Found
from app.web.bodies import Strict
from app.web.models import Id, JsonDict, Out, Text, moment

Domains = Annotated[list[Annotated[str, Meta(max_length=253)]], Meta(max_length=32)]
Names = Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=16)]


class CredentialIn(Strict):
    """A new credential; its values are never given back."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    kind: Annotated[str, Meta(max_length=64, extra_json_schema={"enum": list(KINDS)})]
    fields: dict[str, Annotated[str, Meta(max_length=16_384)]]
    description: Text = ""
    vault: Annotated[str, Meta(min_length=1, max_length=64)] = "default"
    domains: Domains = []
    public_fields: Names = []


class CredentialUpdateIn(Strict):
    """What changes of a credential; ``fields`` replaces all of them."""

    name: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    description: Text | None = None
    fields: dict[str, Annotated[str, Meta(max_length=16_384)]] | None = None
    domains: Domains | None = None
    public_fields: Names | None = None


class CredentialOut(Out):
    """A credential, with the names of its fields only."""

    id: str
    vault: str
    name: str
    description: str
    kind: str
    version: int
    fields: list[str]
    domains: list[str]
    public_fields: list[str]
    adds: list[str]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, credential: Credential) -> "CredentialOut":
        """Return the answer for a credential."""
        fields: JsonDict = {name: getattr(credential, name) for name in cls.__struct_fields__}
        fields |= {
            "fields": list(credential.fields),
            "domains": list(credential.domains),
            "public_fields": list(credential.public_fields),
            "adds": list(credential.shown),
            "created_at": moment(credential.created_at),
            "updated_at": moment(credential.updated_at),
        }
        return cls(**fields)


class CredentialList(Out):
    """All credentials by name."""

    items: list[CredentialOut]


class HandlesOut(Out):
    """An item that this agent may use: its handles, and the targets where."""

    vault: str
    item: str
    description: str
    handles: list[str]
    domains: list[str]
    targets: list[str]

    @classmethod
    def of(cls, found: Found) -> "HandlesOut":
        """Return the answer for an item."""
        item = found.item
        return cls(
            vault=item.vault, item=item.name, description=item.description,
            handles=[f"{{{{{item.vault}/{item.name}.{field}}}}}" for field in item.fields],
            domains=list(item.domains), targets=list(found.targets),
        )  # fmt: skip


class HandlesList(Out):
    """Items by name."""

    items: list[HandlesOut]


class GrantIn(Strict):
    """Leave to use a credential at a target, for one agent or (``*``) for all."""

    target_id: Id
    agent_id: Id = "*"


class GrantOut(Out):
    """Leave that was given."""

    credential_id: str
    target_id: str
    agent_id: str


class GrantList(Out):
    """All leave given for a credential."""

    items: list[GrantOut]
