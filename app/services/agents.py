"""Agents and API keys: made, changed, rotated and revoked by administrators."""

import hashlib
import ipaddress
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.clock import Ids, SystemClock
from app.core.audit import Actor
from app.core.bucket import check_rate
from app.core.calls import check_rules
from app.core.errors import Conflict, InvalidField, NameTaken, NotFound, ScopeConflict
from app.core.instant import Instant, plus
from app.core.json_types import JsonValue
from app.core.principals import (
    ROLE_SCOPES,
    Agent,
    ApiKey,
    Caller,
    Permission,
    Scope,
    check_scopes,
)
from app.services.access import require
from app.store.engine import Store
from app.store.tx import Tx

PREFIX_LENGTH: Final = 12
"""Characters of a key that stay visible."""

DEFAULT_OPEN_LIMIT: Final = 100
MAX_GRACE: Final = 30 * 86_400
CHANGEABLE: Final = frozenset({"name", "description", "owner_id", "open_limit", "frozen", "rate"})
"""What an administrator changes of an agent."""

_MAX_NAME: Final = 100
_MAX_DESCRIPTION: Final = 2000
_MAX_NETWORKS: Final = 100


@dataclass(frozen=True, slots=True)
class Agents:
    """The agents of the installation and everybody's keys."""

    store: Store
    ids: Ids
    clock: SystemClock

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
    ) -> tuple[ApiKey, str]:
        """Make a key of an agent or of a person, and return it with its secret, this once.

        :raises ScopeConflict: scopes that such a key can never hold (T21), or that the caller
            does not hold (T23).
        :raises InvalidField: with a pointer to what must change.
        """
        _require_keys(caller, person_id)
        secret = new_secret()
        key = ApiKey(
            id=self.ids.new("key"),
            name=name,
            prefix=secret[:PREFIX_LENGTH],
            sha256=fingerprint(secret),
            agent_id=agent_id,
            person_id=person_id,
            scopes=_scopes(scopes),
            permissions=None if permissions is None else tuple(permissions),
            networks=tuple(networks),
            rate_limit=rate_limit,
            created_at=self.clock.now(),
            expires_at=expires_at,
        )
        _check_ceiling(caller, key)
        await self.add_key(caller.actor, key)
        return key, secret

    async def add_key(self, actor: Actor, key: ApiKey) -> None:
        """Add a key on behalf of an actor whose right was checked before."""
        _check_key(key, self.clock.now())
        await self.store.write(lambda tx: _add_key(tx, actor, key))

    async def list_keys(
        self, caller: Caller, *, agent_id: str | None = None, person_id: str | None = None
    ) -> "list[ApiKey]":
        """Return keys, newest first: one owner's, or all."""
        _require_keys(caller, person_id)
        return await self.store.read(
            lambda tx: tx.agents.keys(agent_id=agent_id, person_id=person_id)
        )

    async def rename_key(self, caller: Caller, key_id: str, name: str) -> ApiKey:
        """Give a key another name."""
        _check_name(name)
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
        self, caller: Caller, key_id: str, grace_seconds: int = 0
    ) -> tuple[ApiKey, str]:
        """Make a key with the same rights; the old one ends after the grace.

        :raises InvalidField: the grace is negative or above thirty days.
        :raises Conflict: the key is over, or was rotated before.
        :raises ScopeConflict: the key can do what the caller cannot (T23).
        """
        if not 0 <= grace_seconds <= MAX_GRACE:
            message = f"the grace is 0 to {MAX_GRACE} seconds"
            raise InvalidField(message, pointer="/grace_seconds")
        secret, fresh_id = new_secret(), self.ids.new("key")
        key = await self.store.write(
            lambda tx: _rotate(tx, caller, key_id, fresh_id, secret, grace_seconds),
            order=key_id,
        )
        return key, secret


def new_secret() -> str:
    """Return a new key: 256 random bits behind ``ask_``."""
    return f"ask_{secrets.token_urlsafe(32)}"


def fingerprint(secret: str) -> str:
    """Return the SHA-256 that is kept of a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        message = f"a name has 1 to {_MAX_NAME} printable characters"
        raise InvalidField(message, pointer="/name")


def _check_agent(agent: Agent) -> None:
    _check_name(agent.name)
    if len(agent.description) > _MAX_DESCRIPTION or "\x00" in agent.description:
        message = f"a description has at most {_MAX_DESCRIPTION} characters, and no NUL"
        raise InvalidField(message, pointer="/description")
    if not 0 <= agent.open_limit <= 1_000_000:  # noqa: PLR2004 - a bound like any other
        message = "open_limit is 0 (none) to 1000000"
        raise InvalidField(message, pointer="/open_limit")
    check_rate(agent.rate, "/rate")


def _require_keys(caller: Caller, person_id: str | None) -> None:
    """Let administrators manage everybody's keys, and signed-in people their own."""
    own = caller.person is not None and caller.person.id == person_id
    if not own or caller.key is not None:
        require(caller, Scope.ADMIN)


def _check_ceiling(caller: Caller, key: ApiKey) -> None:
    """Let nobody hand out more than they hold, nor a vote of somebody else (T21, T23, T30)."""
    other = caller.person is None or caller.person.id != key.person_id
    if key.person_id is not None and other and Scope.REQUEST_DECIDE in key.scopes:
        message = "only the person themselves can make a key that votes as them"
        raise ScopeConflict(message, pointer="/scopes")
    surplus = sorted(key.scopes - caller.scopes)
    if key.person_id is not None and surplus:
        message = f"you do not hold {', '.join(surplus)} yourself"
        raise ScopeConflict(message, pointer="/scopes")


def _check_key(key: ApiKey, now: Instant) -> None:
    _check_name(key.name)
    if (key.agent_id is None) == (key.person_id is None):
        message = "a key belongs to an agent or to a person"
        raise InvalidField(message, pointer="/agent_id")
    check_scopes(key.scopes, for_agent=key.agent_id is not None)
    if len(key.networks) > _MAX_NETWORKS:
        message = f"a key has at most {_MAX_NETWORKS} networks"
        raise InvalidField(message, pointer="/networks")
    for place, network in enumerate(key.networks):
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            message = f"{network!r} is not a network such as 192.0.2.0/24 or 2001:db8::/32"
            raise InvalidField(message, pointer=f"/networks/{place}") from error
    check_rules(tuple(one.calls for one in key.permissions or ()), "/permissions")
    if key.rate_limit is not None and not 1 <= key.rate_limit <= 1_000_000:  # noqa: PLR2004
        message = "rate_limit is 1 to 1000000 calls in a minute"
        raise InvalidField(message, pointer="/rate_limit")
    if key.expires_at is not None and key.expires_at <= now:
        message = "expires_at lies in the past"
        raise InvalidField(message, pointer="/expires_at")


def _scopes(names: Iterable[str]) -> frozenset[Scope]:
    found: set[Scope] = set()
    for place, name in enumerate(names):
        try:
            found.add(Scope(name))
        except ValueError as error:
            message = f"{name!r} is no scope; the scopes are {', '.join(Scope)}"
            raise InvalidField(message, pointer=f"/scopes/{place}") from error
    return frozenset(found)


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
    tx.agents.add_key(key)
    _note_key(tx, actor, "key.created", key)


def _held_key(tx: Tx, caller: Caller, key_id: str) -> ApiKey:
    key = tx.agents.lock_key(key_id)
    _require_keys(caller, key.person_id if key else None)
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
    _check_ceiling(caller, old)
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
