"""Handles: whether an agent may use one at a target, what stands behind it, and how it is found.

Leave is for an agent, an item and a target (T63). An item that is not there and one without leave
look the same from outside.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from app.core.action import Action, HttpAction, Submission
from app.core.credentials import ITEM
from app.core.errors import AssentryError, Forbidden
from app.core.execution import Refusal
from app.core.handles import Handle, handles_in
from app.core.oauth import is_oauth
from app.core.principals import ApiKey
from app.core.targets import Credential, Target
from app.store.tx import Tx
from app.store.vault import Granted, SealedField

ANY_AGENT: Final = "*"


class CredentialNotGranted(Forbidden):
    """The credential may not be used at this target by this agent."""

    code = "credential_not_granted"


@dataclass(frozen=True, slots=True)
class SealedHandle:
    """A handle and the sealed field that stands behind it."""

    handle: Handle
    field: SealedField


@dataclass(frozen=True, slots=True)
class Found:
    """An item that an agent may use, and the names of the targets where."""

    item: Credential
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is to be added to a call, and what is to be redacted, as it lies in the store.

    :ivar items: the secret fields of all items.
    """

    credential_id: str | None
    granted: Granted | None
    handles: tuple[SealedHandle, ...]
    items: tuple[SealedField, ...]

    @property
    def at_hand(self) -> bool:
        """Whether it can be opened here, without asking anybody."""
        return self.granted is None or not is_oauth(self.granted[0])


def check_handles(tx: Tx, action: Action, target_id: str, agent_id: str) -> None:
    """Check every handle of a call.

    :raises CredentialNotGranted: one that this agent may not use at this target, or is not there.
    """
    if isinstance(action, HttpAction):
        sealed_handles(tx, handles_in(action), target_id, agent_id)


def verify_handles(tx: Tx, submission: Submission, target: Target) -> None:
    """Refuse a call whose handles may not be used there by its agent any more (T63).

    :raises Refusal: there is one.
    """
    try:
        check_handles(tx, submission.action, target.id, submission.agent_id)
    except AssentryError as error:
        raise Refusal(error.code, error.detail) from error


def sealed_handles(
    tx: Tx, handles: Iterable[Handle], target_id: str, agent_id: str
) -> list[SealedHandle]:
    """Return what stands behind handles.

    :raises CredentialNotGranted: as :func:`check_handles`.
    """
    return [_sealed(tx, handle, target_id, agent_id) for handle in handles]


def _sealed(tx: Tx, handle: Handle, target_id: str, agent_id: str) -> SealedHandle:
    item = tx.vault.named(handle.item)
    if item is not None and item.kind == ITEM and item.vault == handle.vault:
        granted = tx.vault.granted(item.id, target_id, (agent_id, ANY_AGENT))
        if granted is not None and handle.field in granted[2]:
            _, version, fields = granted
            field = SealedField(item.id, version, handle.field, fields[handle.field])
            return SealedHandle(handle, field)
    message = f"there is no {{{{{handle.text}}}}} that this agent may use at this target"
    raise CredentialNotGranted(message, pointer="/params")


def granted_at(tx: Tx, credential_id: str | None, target_id: str, agent_id: str) -> Granted | None:
    """Return kind, version and sealed fields of the credential that applies, or None for none.

    :raises CredentialNotGranted: it may not be used at this target, or not by this agent (T63).
    """
    if credential_id is None:
        return None
    granted = tx.vault.granted(credential_id, target_id, (agent_id, ANY_AGENT))
    if granted is None:
        raise CredentialNotGranted
    return granted


def search(tx: Tx, agent_id: str, key: ApiKey, domain: str) -> list[Found]:
    """Return the items that an agent may use with its key, by name.

    Targets that the key may not use are as if they were not there, and where a target is reached
    is never looked at: the answer says nothing that the agent was not told.

    :param domain: of the service, as the item says it. Empty for all.
    """
    found: dict[str, tuple[Credential, set[str]]] = {}
    for item_id, target_id in tx.vault.granted_items(ITEM, (agent_id, ANY_AGENT)):
        item, target = tx.vault.get(item_id), tx.targets.get(target_id)
        if item is None or target is None or not target.enabled or not _usable(key, target):
            continue
        if _fits(domain, item):
            found.setdefault(item_id, (item, set()))[1].add(target.name)
    items = (Found(item, tuple(sorted(names))) for item, names in found.values())
    return sorted(items, key=lambda one: one.item.name)


def _usable(key: ApiKey, target: Target) -> bool:
    if key.permissions is None:
        return True
    return any(one.target == target.name and not one.denied for one in key.permissions)


def _fits(domain: str, item: Credential) -> bool:
    wanted = domain.lower().rstrip(".")
    return not wanted or any(_within(wanted, host) or _within(host, wanted)
                             for host in item.domains)  # fmt: skip


def _within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")
