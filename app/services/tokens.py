"""Live access tokens: replaced before they end, by one at a time, and what rotated is kept.

A new token is asked for under a lease: one conditional write claims it, then the service is asked
outside of any transaction, then one write puts access and refresh token in place together. Others,
in this process or elsewhere, wait for that write. Trouble with the network changes no state but
the shown error; only the service's own definite no makes a person connect again.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from app.clock import SystemClock
from app.core.audit import SYSTEM, Actor
from app.core.connections import ENDLESS, LEASE, SETTLED, UNSAID_LIFE, Connection, ConnectionState
from app.core.errors import NotFound, Unavailable
from app.core.instant import SECOND, Instant, plus
from app.core.json_types import JsonValue
from app.core.oauth import OAuthKind
from app.core.outcome import Injection, NotStarted
from app.core.ports import TokenEndpoint
from app.core.redaction import MIN_SECRET_LENGTH
from app.core.tokens import (
    TokenCall,
    TokenRefused,
    TokenSet,
    TokenUnavailable,
    own_call,
    refresh_call,
)
from app.services.flights import Flights
from app.services.sealing import CannotOpen, Sealer
from app.store.engine import Store
from app.store.tx import Tx

PURPOSE: Final = "credential"
"""Purpose under which the fields of credentials are sealed."""

WAIT_SECONDS: Final = 20.0
"""Longest that a call waits for a new token."""

_POLL: Final = 0.5
_AGAIN: Final = (0.2, 0.5, 1.0, 2.0, 4.0)
log = structlog.get_logger()


def place_of(credential_id: str, version: int, name: str) -> str:
    """Return what a sealed field is bound to besides its purpose."""
    return f"{credential_id}/{version}/{name}"


def _found(connection: Connection | None) -> Connection:
    if connection is None:
        message = "there is no such connection"
        raise NotFound(message)
    return connection


@dataclass(frozen=True, slots=True)
class Held:
    """A connection with its secrets, opened for one use."""

    connection: Connection
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of OAuth credentials."""

    store: Store
    clock: SystemClock
    sealer: Sealer
    endpoint: TokenEndpoint
    flights: Flights

    async def access(self, credential_id: str) -> str:
        """Return a live access token.

        :raises NotStarted: there is none and none can be had now; ``retryable`` says whether
            waiting helps.
        """
        return (await self._live(credential_id)).secrets["access_token"]

    async def injection(self, credential_id: str) -> Injection:
        """Return what the token adds to a call, and all secrets of the connection to redact.

        :raises NotStarted: as :meth:`access`.
        """
        held = await self._live(credential_id)
        secrets = [text for text in held.secrets.values() if len(text) >= MIN_SECRET_LENGTH]
        bearer = f"Bearer {held.secrets['access_token']}"
        return Injection(headers=(("authorization", bearer),), secrets=tuple(secrets))

    async def rejected(self, credential_id: str, since: Instant) -> None:
        """Take an upstream's 401 into account: the next call brings a new token.

        :param since: when the refused call began; a token that was replaced since is not blamed.
        """
        if await self.store.read(lambda tx: tx.connections.get(credential_id)) is None:
            return
        await self.store.write(lambda tx: _mark_stale(tx, credential_id, since))

    async def _live(self, credential_id: str) -> Held:
        held = await self._read(credential_id)
        if not held.connection.fresh(self.clock.now()):
            await self.flights.join(credential_id, lambda: self._renew(credential_id), WAIT_SECONDS)
            held = await self._read(credential_id)
        if not held.connection.alive(self.clock.now()):
            raise _why_not(held.connection)
        return held

    async def _read(self, credential_id: str) -> Held:
        return await self.store.read(lambda tx: self.opened(tx, credential_id))

    def opened(self, tx: Tx, credential_id: str, *, lock: bool = False) -> Held:
        """Return a connection with its secrets.

        A read sees each statement's own state: where the secrets were replaced between the two, it
        looks again.

        :raises NotFound: there is none.
        """
        find = tx.connections.lock if lock else tx.connections.get
        connection = _found(find(credential_id))
        sealed = tx.connections.secrets(credential_id)
        try:
            return Held(connection, self._opened(connection, sealed))
        except CannotOpen:
            again = _found(find(credential_id))
            if again.version == connection.version:
                raise
        return self.opened(tx, credential_id, lock=lock)

    def _opened(self, connection: Connection, sealed: Mapping[str, bytes]) -> dict[str, str]:
        return {name: self._open(connection, name, value) for name, value in sealed.items()}

    def _open(self, connection: Connection, name: str, sealed: bytes) -> str:
        place = place_of(connection.credential_id, connection.version, name)
        return self.sealer.open(PURPOSE, place, sealed).decode()

    # --- renewing ---

    async def _renew(self, credential_id: str) -> None:
        """Bring a new token, or wait for the one who does, also in another process."""
        while True:
            with self.store.signals.waiting(credential_id) as news:
                claim = await self.store.write(
                    lambda tx: self._claim(tx, credential_id), order=credential_id
                )
                if isinstance(claim, Held):
                    await self._ask(claim)
                if claim is None or isinstance(claim, Held):
                    return
                left = (claim - self.clock.now()) / SECOND
                await asyncio.wait({news}, timeout=min(max(left, 0.01), _POLL))

    def _claim(self, tx: Tx, credential_id: str) -> Held | Instant | None:
        """Take the lease; else return until when another has it, or None: nothing is to be done."""
        held = self.opened(tx, credential_id, lock=True)
        found = held.connection
        if found.fresh(tx.now) or not found.may_ask(tx.now):
            return None
        if found.leased(tx.now):
            return found.lease_until
        if found.client.kind is OAuthKind.OAUTH2 and "refresh_token" not in held.secrets:
            _break(tx, found, "the token ended, and the service gave none to renew it with")
            return None
        mine = replace(found, lease_until=plus(tx.now, LEASE), fence=found.fence + 1)
        tx.connections.put(mine)
        return Held(mine, held.secrets)

    async def _ask(self, held: Held) -> None:
        try:
            found = await self.endpoint.ask(_call(held))
        except TokenRefused as error:
            detail = error.detail
            await self._put(lambda tx: _ended(tx, held.connection, detail, refused=True))
        except TokenUnavailable as error:
            detail = error.detail
            await self._put(lambda tx: _ended(tx, held.connection, detail, refused=False))
        else:
            await self._put(lambda tx: self._took(tx, held, found))

    async def _put(self, work: Callable[[Tx], None]) -> None:
        """Write what came of it; a busy database is asked again, for a token may hang on it."""
        for seconds in _AGAIN:
            try:
                return await self.store.write(work)
            except Unavailable:
                await asyncio.sleep(seconds)
        return await self.store.write(work)

    def _took(self, tx: Tx, held: Held, found: TokenSet) -> None:
        """Put new tokens in place, unless somebody put newer ones there meanwhile."""
        now = tx.connections.lock(held.connection.credential_id)
        if now is None or now.version != held.connection.version:
            log.warning("token_came_late", credential_id=held.connection.credential_id)
            return
        self.keep(tx, Held(now, held.secrets), found, SYSTEM, "connection.refreshed")

    def keep(self, tx: Tx, held: Held, found: TokenSet, actor: Actor, event: str) -> Connection:
        """Write new tokens, the access and the refresh token at once (the connection is locked).

        A refresh token that the service did not replace stays.
        """
        before = held.connection
        secrets = {**held.secrets, "access_token": found.access_token}
        if found.refresh_token is not None:
            secrets["refresh_token"] = found.refresh_token
        after = replace(
            before, version=before.version + 1, state=ConnectionState.CONNECTED,
            granted=_granted(before, found), refreshed_at=tx.now, stale=False,
            expires_at=plus(tx.now, _life(found, renewable="refresh_token" in secrets
                                          or before.client.kind is not OAuthKind.OAUTH2)),
            failing_since=None, error_at=None, last_error="", lease_until=None,
        )  # fmt: skip
        self.write(tx, after, secrets)
        tx.note(event, actor, _subject(after), {"name": after.name, "version": after.version})
        return after

    def write(self, tx: Tx, after: Connection, secrets: Mapping[str, str]) -> None:
        """Write a connection of a new version with all its secrets."""
        tx.connections.put(after)
        tx.connections.put_secrets(after.credential_id, after.version, self.seal(after, secrets))

    def seal(
        self, connection: Connection, secrets: Mapping[str, str]
    ) -> dict[str, tuple[bytes, str]]:
        """Return the secrets sealed for this version of the connection."""
        return {
            name: (self._sealed(connection, name, text), self.sealer.current)
            for name, text in secrets.items()
        }

    def _sealed(self, connection: Connection, name: str, text: str) -> bytes:
        place = place_of(connection.credential_id, connection.version, name)
        return self.sealer.seal(PURPOSE, place, text.encode())


def _call(held: Held) -> TokenCall:
    client, secret = held.connection.client, held.secrets.get("client_secret", "")
    if client.kind is OAuthKind.CLIENT_CREDENTIALS:
        return own_call(client, secret)
    return refresh_call(client, secret, held.secrets["refresh_token"])


def _life(found: TokenSet, *, renewable: bool) -> float:
    if found.expires_in is not None:
        return found.expires_in
    return UNSAID_LIFE if renewable else ENDLESS


def _granted(before: Connection, found: TokenSet) -> tuple[str, ...]:
    if found.scopes is not None:
        return found.scopes
    return before.client.endpoints.scopes if before.granted is None else before.granted


def _subject(connection: Connection) -> str:
    return f"credential:{connection.credential_id}"


def _ended(tx: Tx, claimed: Connection, detail: str, *, refused: bool) -> None:
    """Write down that no token came; a claim that another took over says nothing any more."""
    now = tx.connections.lock(claimed.credential_id)
    if now is None or (now.fence, now.version) != (claimed.fence, claimed.version):
        return
    if refused:
        _break(tx, now, detail)
        return
    since = now.failing_since or tx.now
    tx.connections.put(replace(
        now, lease_until=None, failing_since=since, error_at=tx.now, last_error=detail
    ))  # fmt: skip
    if now.failing_since is None:
        details: dict[str, JsonValue] = {"name": now.name, "error": detail}
        tx.note("connection.failing", SYSTEM, _subject(now), details)
    else:
        tx.changes.append(("credential", now.credential_id))


def _break(tx: Tx, now: Connection, detail: str) -> None:
    """Say that a person must connect again."""
    tx.connections.put(replace(
        now, state=ConnectionState.RECONNECT, stale=True, lease_until=None,
        failing_since=now.failing_since or tx.now, error_at=tx.now, last_error=detail,
    ))  # fmt: skip
    details: dict[str, JsonValue] = {"name": now.name, "error": detail}
    tx.note("connection.broken", SYSTEM, _subject(now), details)
    log.warning("connection_broken", credential=now.name, error=detail)


def _mark_stale(tx: Tx, credential_id: str, since: Instant) -> None:
    now = tx.connections.lock(credential_id)
    if now is None or now.stale or now.refreshed_at is None:
        return
    if now.refreshed_at < since and plus(now.refreshed_at, SETTLED) <= tx.now:
        tx.connections.put(replace(now, stale=True))


def _why_not(connection: Connection) -> NotStarted:
    """Return why there is no token, without a word of the service's."""
    name = connection.name
    if connection.state is ConnectionState.CONNECTED or (
        connection.state is ConnectionState.NEW
        and connection.client.kind is OAuthKind.CLIENT_CREDENTIALS
    ):
        return NotStarted("token_unavailable", f"No token of {name} could be had; try again.")
    return NotStarted(
        "needs_reconnect", f"{name} is not connected; a person must connect it.", retryable=False
    )
