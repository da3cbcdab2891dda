"""Agents and API keys: made, changed, rotated and revoked by administrators."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.clock import Ids, SystemClock
from app.core.audit import Actor
from app.core.bucket import check_rate
from app.core.checks import all_of
from app.core.errors import Conflict, InvalidField, NameTaken, NotFound
from app.core.instant import Instant, plus
from app.core.json_types import JsonValue
from app.core.principals import (
    ROLE_SCOPES,
    Agent,
    ApiKey,
    Caller,
    Permission,
    Scope,
)
from app.services.access import require
from app.services.confirming import prove, proven
from app.services.keys import (
    PREFIX_LENGTH,
    FormRepeated,
    check_ceiling,
    check_key,
    check_name,
    fingerprint,
    new_secret,
    require_keys,
    scopes_of,
    votes,
)
from app.services.notices import Notices
from app.store.engine import Store
from app.store.tx import Tx

DEFAULT_OPEN_LIMIT: Final = 100
MAX_GRACE: Final = 30 * 86_400
CHANGEABLE: Final = frozenset({"name", "description", "owner_id", "open_limit", "frozen", "rate"})
"""What an administrator changes of an agent."""

_MAX_DESCRIPTION: Final = 2000
_NUMBER: Final = re.compile(r"key_[0-9a-z]{26}")
_VOTES: Final = "A key was made that decides in your name"


@dataclass(frozen=True, slots=True)
class Agents:
    """The agents of the installation and everybody's keys."""

    store: Store
    ids: Ids
    clock: SystemClock
    notices: Notices

    async def create(
        self,
        caller: Caller,
        *,
        name: str,
        description: str = "",
        owner_id: str | None = None,
        open_limit: int = DEFAULT_OPEN_LIMIT,
        rate: str = "",
    ) -> Agent:
        """Add an agent; without an owner the caller answers for it.

        :param open_limit: most pending requests at a time; 0 means no limit.
        :param rate: requests that it may make, such as ``60/minute``.
        :raises NameTaken: another agent has the name.
        """
        require(caller, Scope.ADMIN)
        owner = owner_id or (caller.person.id if caller.person else None)
        agent = Agent(
            id=self.ids.new("agt"), name=name, description=description, owner_id=owner,
            open_limit=open_limit, frozen=False, created_at=self.clock.now(), rate=rate,
        )  # fmt: skip
        return await self.add(caller.actor, agent)

    async def add(self, actor: Actor, agent: Agent) -> Agent:
        """Add an agent on behalf of an actor whose right was checked before."""
        _check_agent(agent)
        return await self.store.write(lambda tx: _add(tx, actor, agent))

    async def update(self, caller: Caller, agent_id: str, **changes: object) -> Agent:
        """Change any of name, description, owner_id, open_limit, rate and frozen."""
        require(caller, Scope.ADMIN)
        if unknown := sorted(set(changes) - CHANGEABLE):
            message = "this cannot be changed"
            raise InvalidField(message, pointer=f"/{unknown[0]}")
        return await self.store.write(
            lambda tx: _update(tx, caller.actor, agent_id, changes), order=agent_id
        )

    async def freeze(self, caller: Caller, agent_id: str) -> Agent:
        """Stop an agent: it asks nothing, and nothing approved for it runs."""
        return await self.update(caller, agent_id, frozen=True)

    async def release(self, caller: Caller, agent_id: str) -> Agent:
        """Let a frozen agent go on."""
        return await self.update(caller, agent_id, frozen=False)

    async def list(self, caller: Caller) -> list[Agent]:
        """Return all agents by name."""
        require(caller, Scope.POLICY_READ)
        return await self.store.read(lambda tx: tx.agents.all())

    async def get(self, caller: Caller, agent_id: str) -> Agent:
        """Return an agent.

        :raises NotFound: there is none.
        """
        require(caller, Scope.POLICY_READ)
        return await self.store.read(lambda tx: _existing(tx, agent_id))

    # --- keys ---

    async def create_key(
        self,
        caller: Caller,
        *,
        name: str,
        scopes: Iterable[str],
        agent_id: str | None = None,
        person_id: str | None = None,
        permissions: Sequence[Permission] | None = None,
        networks: Sequence[str] = (),
        rate_limit: int | None = None,
        expires_at: Instant | None = None,
        password: str = "",
        number: str = "",
    ) -> tuple[ApiKey, str]:
        """Make a key of an agent or of a person, and return it with its secret, this once.

        One that votes takes its person's password, and tells them (T15, T23).

        :param number: id that the form gave the key: the same form makes no second one.
        :raises FormRepeated: the form made its key before.
        :raises ScopeConflict: scopes that such a key can never hold (T21), or that the caller
            does not hold (T23).
        :raises InvalidField: with a pointer to what must change.
        :raises PasswordRequired: the key votes, and there is no password.
        :raises BadCredentials: it is wrong.
        """
        require_keys(caller, person_id)
        secret = new_secret()
        key = ApiKey(
            id=_numbered(number) or self.ids.new("key"),
            name=name,
            prefix=secret[:PREFIX_LENGTH],
            sha256=fingerprint(secret),
            agent_id=agent_id,
            person_id=person_id,
            scopes=scopes_of(scopes),
            permissions=None if permissions is None else tuple(permissions),
            networks=tuple(networks),
            rate_limit=rate_limit,
            created_at=self.clock.now(),
            expires_at=expires_at,
        )
        check_ceiling(caller, key)
        check_key(key, self.clock.now())
        if votes(key):
            await prove(self.store, caller, password, "key")
        await self.store.write(lambda tx: self._create_key(tx, caller, key))
        return key, secret

    def _create_key(self, tx: Tx, caller: Caller, key: ApiKey) -> None:
        if votes(key):
            proven(tx, caller)
        _add_key(tx, caller.actor, key)
        self._tell(tx, caller, key)

    def _tell(self, tx: Tx, caller: Caller, key: ApiKey) -> None:
        """Tell a person of a key that votes in their name."""
        if votes(key) and caller.person is not None and not caller.local:
            self.notices.tell(tx, caller.person, _VOTES, key.name)

    async def list_keys(
        self, caller: Caller, *, agent_id: str | None = None, person_id: str | None = None
    ) -> "list[ApiKey]":
        """Return keys, newest first: one owner's, or all."""
        require_keys(caller, person_id)
        return await self.store.read(
            lambda tx: tx.agents.keys(agent_id=agent_id, person_id=person_id)
        )

    async def rename_key(self, caller: Caller, key_id: str, name: str) -> ApiKey:
        """Give a key another name."""
        check_name(name)
        return await self.store.write(
            lambda tx: _put_key(tx, caller, "key.renamed", key_id, {"name": name}),
            order=key_id,
        )

    async def revoke_key(self, caller: Caller, key_id: str) -> ApiKey:
        """End a key at once; what it asked for and is not running yet will not run."""
        now = self.clock.now()
        return await self.store.write(
            lambda tx: _put_key(tx, caller, "key.revoked", key_id, {"revoked_at": now}),
            order=key_id,
        )

    async def rotate_key(
        self, caller: Caller, key_id: str, grace_seconds: int = 0, *, password: str = ""
    ) -> tuple[ApiKey, str]:
        """Make a key with the same rights; the old one ends after the grace.

        One that votes takes its person's password, and tells them, as a new one does.

        :raises InvalidField: the grace is negative or above thirty days.
        :raises Conflict: the key is over, or was rotated before.
        :raises ScopeConflict: the key can do what the caller cannot (T23).
        """
        if not 0 <= grace_seconds <= MAX_GRACE:
            message = f"the grace is 0 to {MAX_GRACE} seconds"
            raise InvalidField(message, pointer="/grace_seconds")
        secret, fresh_id = new_secret(), self.ids.new("key")
        old = await self.store.read(lambda tx: tx.agents.key(key_id))
        proves = old is not None and votes(old) and _own(caller, old)
        if proves:
            await prove(self.store, caller, password, "key")

        def rotate(tx: Tx) -> ApiKey:
            if proves:
                proven(tx, caller)
            fresh = _rotate(tx, caller, key_id, fresh_id, secret, grace_seconds)
            self._tell(tx, caller, fresh)
            return fresh

        return await self.store.write(rotate, order=key_id), secret


def _numbered(number: str) -> str:
    if number and not _NUMBER.fullmatch(number):
        message = "the form is not of this page; load it again"
        raise InvalidField(message)
    return number


def _own(caller: Caller, key: ApiKey) -> bool:
    return caller.person is not None and caller.person.id == key.person_id


def _check_agent(agent: Agent) -> None:
    all_of(
        lambda: check_name(agent.name),
        lambda: _check_description(agent.description),
        lambda: _check_open_limit(agent.open_limit),
        lambda: check_rate(agent.rate, "/rate"),
    )


def _check_description(text: str) -> None:
    if len(text) > _MAX_DESCRIPTION or "\x00" in text:
        message = f"a description has at most {_MAX_DESCRIPTION} characters, and no NUL"
        raise InvalidField(message, pointer="/description")


def _check_open_limit(count: int) -> None:
    if not 0 <= count <= 1_000_000:  # noqa: PLR2004 - a bound like any other
        message = "write 0 (no limit) to 1000000"
        raise InvalidField(message, pointer="/open_limit")


def _existing(tx: Tx, agent_id: str) -> Agent:
    agent = tx.agents.get(agent_id)
    if agent is None:
        message = "there is no such agent"
        raise NotFound(message)
    return agent


def _check_references(tx: Tx, agent: Agent) -> None:
    other = tx.agents.named(agent.name)
    if other is not None and other.id != agent.id:
        raise NameTaken(pointer="/name")
    if agent.owner_id is not None and tx.people.get(agent.owner_id) is None:
        message = "there is no such person"
        raise NotFound(message, pointer="/owner_id")


def _add(tx: Tx, actor: Actor, agent: Agent) -> Agent:
    _check_references(tx, agent)
    tx.agents.add(agent)
    tx.note("agent.created", actor, f"agent:{agent.id}", _summary(agent))
    return agent


def _update(tx: Tx, actor: Actor, agent_id: str, changes: dict[str, object]) -> Agent:
    before = tx.agents.lock(agent_id) or _existing(tx, agent_id)
    after = replace(before, **changes)
    _check_agent(after)
    _check_references(tx, after)
    tx.agents.put(after)
    event = "agent.updated"
    if after.frozen != before.frozen:
        event = "agent.frozen" if after.frozen else "agent.released"
    tx.note(event, actor, f"agent:{agent_id}", _summary(after))
    return after


def _summary(agent: Agent) -> dict[str, JsonValue]:
    return {
        "name": agent.name,
        "owner_id": agent.owner_id,
        "open_limit": agent.open_limit,
        "rate": agent.rate,
        "frozen": agent.frozen,
    }


def _add_key(tx: Tx, actor: Actor, key: ApiKey) -> None:
    if key.agent_id is not None:
        _existing(tx, key.agent_id)
    else:
        person = tx.people.hold(key.person_id or "")
        if person is None or not person.active:
            message = "there is no such person"
            raise NotFound(message, pointer="/person_id")
        surplus = sorted(key.scopes - ROLE_SCOPES[person.role])
        if surplus:
            message = f"the role {person.role} does not include {', '.join(surplus)}"
            raise InvalidField(message, pointer="/scopes")
    if tx.agents.key(key.id) is not None:
        raise FormRepeated
    tx.agents.add_key(key)
    _note_key(tx, actor, "key.created", key)


def _held_key(tx: Tx, caller: Caller, key_id: str) -> ApiKey:
    key = tx.agents.lock_key(key_id)
    require_keys(caller, key.person_id if key else None)
    if key is None:
        message = "there is no such key"
        raise NotFound(message)
    return key


def _put_key(tx: Tx, caller: Caller, event: str, key_id: str, changes: dict[str, object]) -> ApiKey:
    before = _held_key(tx, caller, key_id)
    if "revoked_at" in changes and before.revoked_at is not None:
        return before
    after = replace(before, **changes)
    tx.agents.put_key(after)
    _note_key(tx, caller.actor, event, after)
    return after


def _rotate(
    tx: Tx, caller: Caller, key_id: str, fresh_id: str, secret: str, grace_seconds: int
) -> ApiKey:
    old = _held_key(tx, caller, key_id)
    if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= tx.now):
        message = "a key that is revoked or expired cannot be rotated; make a new one"
        raise Conflict(message)
    if tx.agents.replaced(key_id):
        message = "this key was rotated before; rotate the one that took its place"
        raise Conflict(message)
    check_ceiling(caller, old)
    ends = plus(tx.now, grace_seconds)
    fresh = replace(
        old,
        id=fresh_id,
        prefix=secret[:PREFIX_LENGTH],
        sha256=fingerprint(secret),
        created_at=tx.now,
        last_used_at=None,
        replaces=old.id,
    )
    ends = ends if old.expires_at is None else min(ends, old.expires_at)
    tx.agents.put_key(replace(old, expires_at=ends))
    tx.agents.add_key(fresh)
    _note_key(tx, caller.actor, "key.rotated", fresh)
    return fresh


def _note_key(tx: Tx, actor: Actor, event: str, key: ApiKey) -> None:
    details: dict[str, JsonValue] = {
        "name": key.name, "prefix": key.prefix, "agent_id": key.agent_id,
        "person_id": key.person_id, "scopes": sorted(key.scopes), "replaces": key.replaces,
    }  # fmt: skip
    tx.note(event, actor, f"key:{key.id}", details)
