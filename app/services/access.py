"""Who calls: from a key or a session to a Caller, and the one check of scopes."""

import hashlib
import ipaddress
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

from app.clock import SystemClock
from app.core.audit import Actor, ActorKind
from app.core.errors import (
    AddressForbidden,
    AssentryError,
    InvalidKey,
    MissingRole,
    MissingScope,
    Unauthenticated,
)
from app.core.instant import SECOND, Instant, plus
from app.core.principals import ROLE_SCOPES, Agent, ApiKey, Caller, Person, Scope
from app.settings import Settings
from app.store.engine import Store
from app.store.tx import Change, Tx

T = TypeVar("T")

KEY_SHAPE: Final = re.compile(r"ask_[A-Za-z0-9_-]{43}")
"""What an API key looks like."""

CACHE_SECONDS: Final = 5
"""How long another process's revocation may stay unseen when its signal is lost."""

_KEY_LENGTH: Final = 47
_CACHE_SIZE: Final = 10_000
_REFUSED_SIZE: Final = 1000
_TTL: Final = CACHE_SECONDS * SECOND
_TOUCH_SECONDS: Final = 60
_CHANGES: Final = frozenset({"agent", "key", "person", "store"})


def require(caller: Caller, scope: Scope) -> None:
    """Let a caller with the scope pass.

    :raises MissingScope: a key without it.
    :raises MissingRole: a signed-in person without it.
    """
    if scope in caller.scopes:
        return
    if caller.key is not None:
        message = f"this call needs a key with the scope {scope}"
        raise MissingScope(message)
    message = f"your role does not include {scope}"
    raise MissingRole(message)


_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    networks: tuple[_Network, ...]
    until: Instant


@dataclass(slots=True)
class _Cache:
    """What was looked up by digest, and when keys were last used.

    :ivar age: grows with every change, so that what was read before one is not kept after it.
    :ivar revised: what the store's signals said then; it grows before who changed a thing is told.
    """

    known: "OrderedDict[str, _Known]" = field(default_factory=OrderedDict[str, _Known])
    refused: "OrderedDict[str, Instant]" = field(default_factory=OrderedDict[str, Instant])
    seen: dict[str, Instant] = field(default_factory=dict[str, Instant])
    age: int = 0
    revised: int = 0

    def clear(self) -> None:
        self.age += 1
        self.known.clear()
        self.refused.clear()


@dataclass(frozen=True, slots=True)
class Access:
    """Authenticates keys and sessions."""

    store: Store
    clock: SystemClock
    settings: Settings
    _cache: _Cache = field(default_factory=_Cache)

    async def key_caller(self, token: str, remote_ip: str) -> Caller:
        """Return the caller that a key stands for.

        :raises InvalidKey: unknown, expired or revoked.
        :raises AddressForbidden: not from this address.
        """
        if len(token) != _KEY_LENGTH:
            raise InvalidKey
        digest = hashlib.sha256(token.encode("ascii", "replace")).hexdigest()
        now, revised = self.clock.now(), self.store.signals.revised
        if revised != self._cache.revised:
            self._cache.clear()
            self._cache.revised = revised
        known = self._cache.known.get(digest)
        if known is None or not now < known.until <= now + _TTL:
            known = await self._look_up(token, digest, now)
        if known.networks:
            _check_address(known.networks, remote_ip)
        return known.caller

    async def _look_up(self, token: str, digest: str, now: Instant) -> _Known:
        cache, age = self._cache, self._cache.age
        if not KEY_SHAPE.fullmatch(token) or now < cache.refused.get(digest, 0) <= now + _TTL:
            raise InvalidKey
        try:
            caller, ends = await self.store.read(lambda tx: _key_caller(tx, digest, now))
        except InvalidKey:
            if cache.age == age:
                _keep(cache.refused, digest, plus(now, CACHE_SECONDS), _REFUSED_SIZE)
            raise
        until = min(plus(now, CACHE_SECONDS), ends or plus(now, CACHE_SECONDS))
        networks = caller.key.networks if caller.key else ()
        known = _Known(caller, tuple(ipaddress.ip_network(text) for text in networks), until)
        if cache.age == age:
            _keep(cache.known, digest, known, _CACHE_SIZE)
        if caller.key is not None:
            cache.seen[caller.key.id] = now
        return known

    def forget(self, changes: Iterable[Change | None]) -> None:
        """Drop what may have changed; called with every signal."""
        if any(change is None or change[0] in _CHANGES for change in changes):
            self._cache.clear()

    async def flush_seen(self) -> None:
        """Write down when keys were last used; called once a minute."""
        seen = dict(self._cache.seen)
        self._cache.seen.clear()
        if not seen:
            return
        try:
            await self.store.write(lambda tx: _write_seen(tx, seen))
        except AssentryError:
            self._cache.seen |= seen | self._cache.seen
            raise

    async def session_caller(self, token: str) -> Caller:
        """Return the person that a session's token stands for.

        :raises Unauthenticated: no such session, or its time is over.
        """
        digest = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
        now = self.clock.now()
        caller = await self.store.read(lambda tx: self._session(tx, digest, now))
        session = caller.session
        if session is not None and now - session.seen_at > _TOUCH_SECONDS * SECOND:
            await self.store.write(lambda tx: tx.people.touch_session(digest, now))
        return caller

    def _session(self, tx: Tx, digest: str, now: Instant) -> Caller:
        session = tx.people.session(digest)
        idle = self.settings.session_idle_seconds
        if session is None or session.expires_at <= now or plus(session.seen_at, idle) <= now:
            message = "the session is over; sign in again"
            raise Unauthenticated(message)
        person = tx.people.get(session.person_id)
        if person is None or not person.active:
            raise Unauthenticated
        return Caller(person.actor, ROLE_SCOPES[person.role], person=person, session=session)


def _key_caller(tx: Tx, digest: str, now: Instant) -> tuple[Caller, Instant | None]:
    key = tx.agents.key_by_sha(digest)
    if key is None or key.revoked_at is not None:
        raise InvalidKey
    if key.expires_at is not None and key.expires_at <= now:
        raise InvalidKey
    if key.agent_id is not None:
        agent = tx.agents.get(key.agent_id)
        if agent is None:
            raise InvalidKey
        return _agent_caller(agent, key), key.expires_at
    person = tx.people.get(key.person_id or "")
    if person is None or not person.active:
        raise InvalidKey
    return _person_caller(person, key), key.expires_at


def _agent_caller(agent: Agent, key: ApiKey) -> Caller:
    actor = Actor(ActorKind.AGENT, agent.id, agent.name)
    return Caller(actor, key.scopes, agent=agent, key=key)


def _person_caller(person: Person, key: ApiKey) -> Caller:
    return Caller(person.actor, key.scopes & ROLE_SCOPES[person.role], person=person, key=key)


def _keep(cache: "OrderedDict[str, T]", digest: str, value: T, most: int) -> None:
    """Put a value into a cache and drop the oldest one when there are too many."""
    cache[digest] = value
    if len(cache) > most:
        cache.popitem(last=False)


def _check_address(networks: tuple[_Network, ...], remote_ip: str) -> None:
    try:
        address = ipaddress.ip_address(remote_ip)
    except ValueError as error:
        raise AddressForbidden from error
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if not any(address in network for network in networks):
        raise AddressForbidden


def _write_seen(tx: Tx, seen: dict[str, Instant]) -> None:
    """Write in the order of ids, keys first, so that two servers do not wait for each other."""
    for key_id in sorted(seen):
        tx.agents.used(key_id, seen[key_id])
    latest: dict[str, Instant] = {}
    for key_id, agent_id in tx.agents.owners(seen).items():
        latest[agent_id] = max(latest.get(agent_id, seen[key_id]), seen[key_id])
    for agent_id in sorted(latest):
        tx.agents.seen(agent_id, latest[agent_id])
