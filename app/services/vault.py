"""Credentials: sealed when they come in, opened only for an execution, never given back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.clock import Ids, SystemClock
from app.core.action import HttpAction
from app.core.audit import SYSTEM, Actor
from app.core.credentials import ITEM, build_injection
from app.core.credentials.checking import checked
from app.core.errors import Forbidden, InUse, InvalidField, NameTaken, NotFound
from app.core.handles import handles_in
from app.core.instant import Instant
from app.core.json_types import JsonValue
from app.core.oauth import is_oauth
from app.core.outcome import Injection
from app.core.principals import Caller, Scope
from app.core.targets import Credential, CredentialGrant, Target
from app.services.access import require
from app.services.handles import (
    ANY_AGENT,
    Found,
    Sealed,
    granted_at,
    sealed_handles,
    search,
)
from app.services.sealing import Sealer
from app.services.tokens import PURPOSE, Tokens, place_of
from app.store.engine import Store
from app.store.tx import Tx
from app.store.vault import Granted, SealedField

_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class Vault:
    """The credentials of the installation."""

    store: Store
    ids: Ids
    clock: SystemClock
    sealer: Sealer
    tokens: Tokens

    async def create(
        self,
        caller: Caller,
        *,
        name: str,
        kind: str,
        fields: Mapping[str, str],
        description: str = "",
        vault: str = "default",
        domains: Sequence[str] = (),
        public_fields: Sequence[str] = (),
    ) -> Credential:
        """Add a credential.

        :param domains: of an item: the hosts that it is for.
        :param public_fields: of an item: those of its fields that are no secrets.

        :raises InvalidField: with a pointer to what must change; never with the value.
        :raises NameTaken: another credential has the name.
        """
        require(caller, Scope.ADMIN)
        now = self.clock.now()
        credential = Credential(
            id=self.ids.new("crd"),
            vault=vault,
            name=name,
            description=description,
            kind=kind,
            version=1,
            created_at=now,
            updated_at=now,
            domains=tuple(domains),
            public_fields=tuple(public_fields),
        )
        return await self.add(caller.actor, credential, fields)

    async def add(
        self, actor: Actor, credential: Credential, fields: Mapping[str, str]
    ) -> Credential:
        """Add a credential on behalf of an actor whose right was checked before."""
        credential = checked(credential, fields)
        sealed = self._seal(credential, fields)
        await self.store.write(lambda tx: _add(tx, actor, credential, sealed))
        return replace(credential, fields=tuple(sorted(fields)))

    def enter(
        self, tx: Tx, actor: Actor, credential: Credential, fields: Mapping[str, str]
    ) -> None:
        """Add a credential within a transaction, on behalf of an actor who may."""
        credential = checked(credential, fields)
        _add(tx, actor, credential, self._seal(credential, fields))

    async def update(
        self,
        caller: Caller,
        credential_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        fields: Mapping[str, str] | None = None,
        domains: Sequence[str] | None = None,
        public_fields: Sequence[str] | None = None,
    ) -> Credential:
        """Rename a credential, or replace all its fields, domains or names of public fields."""
        require(caller, Scope.ADMIN)
        changes: dict[str, object] = {
            key: value
            for key, value in (
                ("name", name),
                ("description", description),
                ("domains", None if domains is None else tuple(domains)),
                ("public_fields", None if public_fields is None else tuple(public_fields)),
            )
            if value is not None
        }
        return await self.store.write(
            lambda tx: self._put(tx, caller.actor, credential_id, changes, fields),
            order=credential_id,
        )

    async def refill(self, actor: Actor, credential: Credential, fields: Mapping[str, str]) -> None:
        """Replace a credential's fields on behalf of an actor whose right was checked before."""
        await self.store.write(
            lambda tx: self._put(tx, actor, credential.id, {}, fields), order=credential.id
        )

    async def delete(self, caller: Caller, credential_id: str) -> None:
        """Remove a credential.

        :raises InUse: a target uses it.
        """
        require(caller, Scope.ADMIN)
        await self.store.write(
            lambda tx: _remove(tx, caller.actor, credential_id), order=credential_id
        )

    async def list(self, caller: Caller) -> list[Credential]:
        """Return all credentials, with the names of their fields and never a value."""
        require(caller, Scope.ADMIN)
        return await self.store.read(lambda tx: tx.vault.all())

    async def get(self, caller: Caller, credential_id: str) -> Credential:
        """Return a credential, without values.

        :raises NotFound: there is none.
        """
        require(caller, Scope.ADMIN)
        return await self.store.read(lambda tx: _existing(tx, credential_id))

    async def grant(self, caller: Caller, grant: CredentialGrant) -> None:
        """Let an agent's requests use a credential at a target."""
        require(caller, Scope.ADMIN)
        await self.store.write(lambda tx: _grant(tx, caller.actor, grant))

    async def revoke(self, caller: Caller, grant: CredentialGrant) -> None:
        """Take that leave back.

        :raises NotFound: it was not given.
        """
        require(caller, Scope.ADMIN)
        await self.store.write(lambda tx: _revoke(tx, caller.actor, grant))

    async def grants(self, caller: Caller, credential_id: str) -> "list[CredentialGrant]":
        """Return where and by whom a credential may be used."""
        await self.get(caller, credential_id)
        return await self.store.read(lambda tx: tx.vault.grants(credential_id))

    def sealed(
        self, tx: Tx, target: Target, agent_id: str, action: HttpAction | None = None
    ) -> Sealed:
        """Return what is to be added to a call at the target, still sealed.

        :raises CredentialNotGranted: not at this target, or not by this agent (T63).
        """
        credential_id = target.credential_for(*_call(action))
        handles = () if action is None else handles_in(action)
        return Sealed(
            credential_id,
            granted_at(tx, credential_id, target.id, agent_id),
            tuple(sealed_handles(tx, handles, target.id, agent_id)),
            tuple(tx.vault.secrets_of(ITEM)),
        )

    async def for_execution(
        self, target: Target, agent_id: str, action: HttpAction | None = None
    ) -> Injection:
        """Return what is added to a call at the target; it must not outlive the call.

        Every secret field of every item is to be redacted, whoever calls: what one call leaves at
        an upstream, a later one could read, also through another target or after a leave ended.

        :raises CredentialNotGranted: not at this target, or not by this agent (T63).
        """
        return await self.opened(
            await self.store.read(lambda tx: self.sealed(tx, target, agent_id, action))
        )

    async def opened(self, sealed: Sealed) -> Injection:
        """Return what is added to a call; it must not outlive the call."""
        injection = await self._injection(sealed.credential_id, sealed.granted)
        if not sealed.handles and not sealed.items:
            return injection
        values = tuple((one.handle.text, self._value(one.field)) for one in sealed.handles)
        hidden = tuple(self._value(field) for field in sealed.items)
        return replace(injection, handles=values, secrets=(*injection.secrets, *hidden))

    async def _injection(self, credential_id: str | None, granted: Granted | None) -> Injection:
        """Return what the credential adds that applies to a call.

        A kind whose value must be fetched first is served here, before its fields are built.
        """
        if credential_id is None or granted is None:
            return Injection()
        kind, version, sealed = granted
        if is_oauth(kind):
            return await self.tokens.injection(credential_id)
        fields = {
            name: self._value(SealedField(credential_id, version, name, value))
            for name, value in sealed.items()
        }
        return build_injection(kind, fields, self.clock.now())

    def _value(self, field: SealedField) -> str:
        return self.sealer.open(PURPOSE, _place_of(field), field.sealed).decode()

    async def search(self, caller: Caller, domain: str = "") -> "list[Found]":
        """Return the items that an agent may use by handles, and where; never a value.

        :raises Forbidden: the caller is no agent.
        """
        require(caller, Scope.REQUEST_CREATE)
        agent, key = caller.agent, caller.key
        if agent is None or key is None:
            message = "handles are looked up with an agent's key"
            raise Forbidden(message)
        return await self.store.read(lambda tx: search(tx, agent.id, key, domain))

    async def rejected(
        self, target: Target, since: Instant, action: HttpAction | None = None
    ) -> None:
        """Take an upstream's 401 into account, where its credential can be renewed.

        :param since: when the refused call began.
        """
        credential_id = target.credential_for(*_call(action))
        if credential_id is not None:
            await self.tokens.rejected(credential_id, since)

    async def rotate(self) -> int:
        """Wrap every field by the current master key and return how many were not yet.

        The vault stays in use meanwhile; what somebody replaces in between keeps its new value.

        :raises CannotOpen: a field does not open, because a former master key is missing.
        """
        total = 0
        while count := await self.store.write(self._rewrap, long=True):
            total += count
        return total

    def _rewrap(self, tx: Tx) -> int:
        current = self.sealer.current
        fresh = [
            (field, self.sealer.rewrap(PURPOSE, _place_of(field), field.sealed))
            for field in tx.vault.sealed_with_other(current, _BATCH)
        ]
        count = sum(tx.vault.reseal(field, sealed, current) for field, sealed in fresh)
        if count:
            details: dict[str, JsonValue] = {"fields": count, "master_key": current}
            tx.note("vault.rotated", SYSTEM, "vault:-", details)
        return count

    def _put(
        self,
        tx: Tx,
        actor: Actor,
        credential_id: str,
        changes: dict[str, object],
        fields: Mapping[str, str] | None,
    ) -> Credential:
        before = _locked(tx, credential_id)
        if fields is None and "public_fields" in changes:
            message = "say it together with the fields, which are all given anew then"
            raise InvalidField(message, pointer="/public_fields")
        after = replace(before, **changes, updated_at=tx.now)
        if fields is not None:
            names = tuple(sorted(fields))
            after = replace(after, version=before.version + 1, fields=names)
        after = checked(after, fields)
        _check_name(tx, after)
        tx.vault.put(after)
        if fields is not None:
            tx.vault.put_fields(credential_id, self._seal(after, fields))
        if (after.fields, after.adds) != (before.fields, before.adds):
            tx.targets.revise(credential_id)
        tx.note("credential.updated", actor, f"credential:{credential_id}", _summary(after))
        return after

    def _seal(
        self, credential: Credential, fields: Mapping[str, str]
    ) -> dict[str, tuple[bytes, str]]:
        def sealed(name: str, value: str) -> bytes:
            place = place_of(credential.id, credential.version, name)
            return self.sealer.seal(PURPOSE, place, value.encode())

        return {name: (sealed(name, value), self.sealer.current) for name, value in fields.items()}


def _call(action: HttpAction | None) -> tuple[str, str]:
    return ("", "") if action is None else (action.method, action.path)


def _place_of(field: SealedField) -> str:
    return place_of(field.credential_id, field.version, field.name)


def _existing(tx: Tx, credential_id: str) -> Credential:
    credential = tx.vault.get(credential_id)
    if credential is None:
        message = "there is no such credential"
        raise NotFound(message)
    return credential


def _locked(tx: Tx, credential_id: str) -> Credential:
    credential = tx.vault.lock(credential_id)
    if credential is None:
        message = "there is no such credential"
        raise NotFound(message)
    return credential


def _check_name(tx: Tx, credential: Credential) -> None:
    other = tx.vault.named(credential.name)
    if other is not None and other.id != credential.id:
        raise NameTaken(pointer="/name")


def _add(
    tx: Tx, actor: Actor, credential: Credential, sealed: dict[str, tuple[bytes, str]]
) -> None:
    _check_name(tx, credential)
    tx.vault.add(credential)
    tx.vault.put_fields(credential.id, sealed)
    tx.note("credential.created", actor, f"credential:{credential.id}", _summary(credential))


def _summary(credential: Credential) -> dict[str, JsonValue]:
    return {
        "name": credential.name,
        "kind": credential.kind,
        "vault": credential.vault,
        "version": credential.version,
    }


def _remove(tx: Tx, actor: Actor, credential_id: str) -> None:
    credential = _locked(tx, credential_id)
    using = [target.name for target in tx.targets.all() if credential_id in target.credential_ids]
    if using:
        message = f"the target {using[0]} uses it"
        raise InUse(message)
    tx.connections.drop(credential_id)
    tx.vault.remove(credential_id)
    tx.note("credential.deleted", actor, f"credential:{credential_id}", {"name": credential.name})


def _grant(tx: Tx, actor: Actor, grant: CredentialGrant) -> None:
    _existing(tx, grant.credential_id)
    if tx.targets.get(grant.target_id) is None:
        message = "there is no such target"
        raise NotFound(message, pointer="/target_id")
    if grant.agent_id != ANY_AGENT and tx.agents.get(grant.agent_id) is None:
        message = "there is no such agent"
        raise NotFound(message, pointer="/agent_id")
    tx.vault.grant(grant, tx.now)
    _note_grant(tx, actor, "credential.granted", grant)


def _revoke(tx: Tx, actor: Actor, grant: CredentialGrant) -> None:
    if not tx.vault.revoke(grant):
        message = "that leave was not given"
        raise NotFound(message)
    _note_grant(tx, actor, "credential.revoked", grant)


def _note_grant(tx: Tx, actor: Actor, event: str, grant: CredentialGrant) -> None:
    details: dict[str, JsonValue] = {"target": grant.target_id, "agent": grant.agent_id}
    tx.note(event, actor, f"credential:{grant.credential_id}", details)
