"""Targets: the upstreams that agents may name."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from app.clock import Ids, SystemClock
from app.core.addresses import check_literal
from app.core.audit import Actor
from app.core.breaker import Breaker, State
from app.core.checks import all_of
from app.core.credentials import ITEM, SSH
from app.core.errors import InUse, InvalidField, NameTaken, NotFound
from app.core.json_types import JsonValue
from app.core.paths import parse_base_url
from app.core.presets import READS_PASS, PresetRules, policy_documents
from app.core.principals import Caller, Scope
from app.core.targets import (
    CredentialGrant,
    CredentialRule,
    Target,
    TargetSettings,
)
from app.services.access import require
from app.services.policies import Policies
from app.services.target_checks import check_target
from app.store.engine import Store
from app.store.tx import Tx

ANY_AGENT: Final = "*"
CHANGEABLE: Final = frozenset(
    {"name", "description", "base_url", "credential_id", "credentials", "settings", "enabled"}
)
"""What an administrator changes of a target."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of the installation."""

    store: Store
    ids: Ids
    clock: SystemClock
    policies: Policies

    async def create(
        self,
        caller: Caller,
        *,
        name: str,
        base_url: str = "",
        description: str = "",
        credential_id: str | None = None,
        credentials: Sequence[CredentialRule] = (),
        settings: TargetSettings | None = None,
        enabled: bool = True,
        grant_agents: Sequence[str] | None = None,
        guard: bool = False,
    ) -> Target:
        """Add a target: an SSH host where the settings say ``ssh``, which then has its address.

        :param guard: make the policy by which reads pass there and everything else asks (GW-5).
        :param credential_id: what calls get that none of ``credentials`` covers.
        :param credentials: rules for other credentials; the first that covers a call counts.
        :param grant_agents: agents that may use the credentials there; ``*`` stands for all, and
            None for ``*``.
        :raises InvalidField: with a pointer to what must change.
        :raises NameTaken: another target has the name.
        """
        require(caller, Scope.ADMIN)
        if guard:
            require(caller, Scope.POLICY_WRITE)
        now, settings = self.clock.now(), settings or TargetSettings()
        if settings.ssh is not None and (guard or base_url):
            message = "an SSH host has no base address, and no policy of reads and writes"
            raise InvalidField(message, pointer="/guard" if guard else "/base_url")
        target = Target(
            id=self.ids.new("tgt"),
            name=name,
            description=description,
            kind="http" if settings.ssh is None else "ssh",
            base_url=base_url,
            revision=1,
            enabled=enabled,
            credential_id=credential_id,
            created_at=now,
            updated_at=now,
            settings=settings,
            credentials=tuple(credentials),
        )
        all_of(lambda: _address(base_url, settings), lambda: check_target(target))
        target = replace(target, base_url=_address(base_url, settings))
        _check_place(target)
        agents = (ANY_AGENT,) if grant_agents is None else grant_agents
        rules = READS_PASS if guard else None
        made = await self.store.write(
            lambda tx: self.enter(tx, caller.actor, target, agents, target.name, rules)
        )
        if guard:
            await self.policies.refresh()
        return made

    async def add(self, actor: Actor, target: Target, grant_agents: Sequence[str]) -> Target:
        """Add a target on behalf of an actor whose right was checked before."""
        return await self.store.write(lambda tx: self.enter(tx, actor, target, grant_agents))

    def enter(
        self,
        tx: Tx,
        actor: Actor,
        target: Target,
        grant_agents: Sequence[str],
        title: str = "",
        rules: PresetRules | None = None,
    ) -> Target:
        """Add a target within a transaction, with the policies of a preset's rules if given.

        Who gives rules refreshes the policies after it.
        """
        check_target(target)
        _add(tx, actor, target, grant_agents)
        for document in () if rules is None else policy_documents(target.name, title, rules):
            self.policies.enter(tx, actor, document)
        return target

    async def update(
        self,
        caller: Caller,
        target_id: str,
        *,
        grant_agents: Sequence[str] | None = None,
        **changes: object,
    ) -> Target:
        """Change a target; a new address, credential or setting raises its revision.

        :param changes: any of name, description, base_url, credential_id, credentials, settings,
            enabled.
        :param grant_agents: who may use the credentials there from now on; None lets a new
            credential be used by those who might use one of those before.
        """
        require(caller, Scope.ADMIN)
        return await self.change(caller.actor, target_id, changes, grant_agents)

    async def change(
        self,
        actor: Actor,
        target_id: str,
        changes: dict[str, object],
        grant_agents: Sequence[str] | None = None,
    ) -> Target:
        """Change a target on behalf of an actor whose right was checked before."""
        if unknown := sorted(set(changes) - CHANGEABLE):
            message = "this cannot be changed"
            raise InvalidField(message, pointer=f"/{unknown[0]}")
        if isinstance(base_url := changes.get("base_url"), str):
            changes = {**changes, "base_url": parse_base_url(base_url).text}
        return await self.store.write(
            lambda tx: update(tx, actor, target_id, changes, grant_agents), order=target_id
        )

    async def delete(self, caller: Caller, target_id: str) -> None:
        """Remove a target that no open request names.

        :raises InUse: an open request names it.
        """
        require(caller, Scope.ADMIN)
        await self.store.write(lambda tx: _remove(tx, caller.actor, target_id), order=target_id)

    async def list(self, caller: Caller) -> list[Target]:
        """Return all targets by name."""
        require(caller, Scope.POLICY_READ)
        return await self.store.read(lambda tx: tx.targets.all())

    async def get(self, caller: Caller, target_id: str) -> Target:
        """Return a target.

        :raises NotFound: there is none.
        """
        require(caller, Scope.POLICY_READ)
        return await self.store.read(lambda tx: _existing(tx, target_id))


def _check_place(target: Target) -> None:
    """Refuse an address inside that no network of the target opens: no call would reach it."""
    host = urlsplit(target.base_url).hostname or ""
    check_literal(host, target.settings.networks, "/settings/networks")


def _address(base_url: str, settings: TargetSettings) -> str:
    return parse_base_url(base_url).text if settings.ssh is None else settings.ssh.address


def _existing(tx: Tx, target_id: str) -> Target:
    target = tx.targets.get(target_id)
    if target is None:
        message = "there is no such target"
        raise NotFound(message)
    return target


def locked(tx: Tx, target_id: str) -> Target:
    """Return a target that nobody else changes until this transaction ends.

    :raises NotFound: there is none.
    """
    target = tx.targets.lock(target_id)
    if target is None:
        message = "there is no such target"
        raise NotFound(message)
    return target


def _check_references(tx: Tx, target: Target) -> None:
    other = tx.targets.named(target.name)
    if other is not None and other.id != target.id:
        raise NameTaken(pointer="/name")
    places = {
        rule.credential_id: f"/credentials/{place}/credential_id"
        for place, rule in enumerate(target.credentials)
    }
    for credential_id in target.credential_ids:
        pointer = places.get(credential_id, "/credential_id")
        credential = tx.vault.get(credential_id)
        if credential is None:
            message = "there is no such credential"
            raise NotFound(message, pointer=pointer)
        if credential.kind == ITEM:
            message = "an item adds nothing to calls: agents name its fields by handles"
            raise InvalidField(message, pointer=pointer)
        if (credential.kind in SSH) is not (target.kind == "ssh"):
            message = "SSH hosts take the kinds ssh_key, ssh_certificate, ssh_password, others not"
            raise InvalidField(message, pointer=pointer)


def _add(tx: Tx, actor: Actor, target: Target, grant_agents: Sequence[str]) -> None:
    _check_references(tx, target)
    tx.targets.add(target)
    _grant(tx, target, grant_agents, target.credential_ids)
    tx.note("target.created", actor, f"target:{target.id}", _summary(target))


def update(
    tx: Tx,
    actor: Actor,
    target_id: str,
    changes: dict[str, object],
    grant_agents: Sequence[str] | None = None,
) -> Target:
    """Change a target in a unit of work on behalf of an actor whose right was checked before."""
    before = locked(tx, target_id)
    after = replace(before, **changes, updated_at=tx.now)
    if after.settings.ssh is not None:
        after = replace(after, base_url=after.settings.ssh.address)
    binding = ("base_url", "credential_id", "credentials", "settings")
    if any(getattr(before, name) != getattr(after, name) for name in binding):
        after = replace(after, revision=before.revision + 1)
    if (before.base_url, before.settings) != (after.base_url, after.settings):
        _check_place(after)
    check_target(after)
    _check_references(tx, after)
    tx.targets.put(after)
    _regrant(tx, before, after, grant_agents)
    tx.note("target.updated", actor, f"target:{target_id}", _summary(after))
    return after


def _regrant(tx: Tx, before: Target, after: Target, agents: Sequence[str] | None) -> None:
    """Set who may use the credentials of a target; leave for items stays as it is."""
    used = set(after.credential_ids)
    fresh = used - set(before.credential_ids)
    if agents is not None:
        tx.vault.drop_grants_at(after.id, used | set(before.credential_ids))
        _grant(tx, after, agents, used)
        return
    inherited = _inherited(tx, before) if fresh else ()
    tx.vault.drop_grants_at(after.id, set(before.credential_ids) - used)
    _grant(tx, after, inherited, fresh)


def _inherited(tx: Tx, before: Target) -> Sequence[str]:
    """Return who may use a credential that takes the place of another: never more than before."""
    if not before.credential_ids:
        return (ANY_AGENT,)
    given = tx.vault.grants_at(before.id)
    return sorted({one.agent_id for one in given if one.credential_id in before.credential_ids})


def _grant(tx: Tx, target: Target, agents: Sequence[str], credentials: Iterable[str]) -> None:
    wanted = sorted(credentials)
    for agent in agents if wanted else ():
        if agent != ANY_AGENT and tx.agents.get(agent) is None:
            message = f"there is no agent {agent!r}"
            raise NotFound(message, pointer="/grant_agents")
        for credential_id in wanted:
            tx.vault.grant(CredentialGrant(credential_id, target.id, agent), tx.now)


def _remove(tx: Tx, actor: Actor, target_id: str) -> None:
    target = locked(tx, target_id)
    if tx.requests.names_target(target_id):
        message = "an open request names this target; decide or withdraw it first"
        raise InUse(message)
    tx.vault.drop_grants_at(target_id)
    tx.limits.put_breaker(target_id, Breaker(State.CLOSED, tx.now))
    tx.targets.remove(target_id)
    tx.note("target.deleted", actor, f"target:{target_id}", {"name": target.name})


def _summary(target: Target) -> dict[str, JsonValue]:
    settings: dict[str, JsonValue] = json.loads(json.dumps(asdict(target.settings)))
    return {
        "name": target.name,
        "base_url": target.base_url,
        "revision": target.revision,
        "enabled": target.enabled,
        "credential_id": target.credential_id,
        "credentials": [
            {
                "credential_id": rule.credential_id,
                "methods": list(rule.methods),
                "paths": list(rule.paths),
            }
            for rule in target.credentials
        ],
        "settings": settings,
    }
