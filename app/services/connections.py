"""Connections of accounts at services: made, consented to, shown, and given back (SVC-2)."""

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

import structlog

from app.clock import Ids, SystemClock
from app.core.checks import all_of
from app.core.connections import STATE_LIFE, Connection
from app.core.errors import Conflict, InvalidField, NameTaken
from app.core.instant import plus
from app.core.json_types import JsonValue
from app.core.oauth import OAuthClient, OAuthEndpoints, OAuthKind, checked, consent_url
from app.core.presets import Preset
from app.core.principals import Caller, Scope
from app.core.redaction import MARK, MIN_SECRET_LENGTH
from app.core.targets import Credential
from app.core.tokens import TokenRefused, TokenSet, TokenUnavailable, exchange_call, revoke_call
from app.services.access import require
from app.services.sealing import Sealer
from app.services.tokens import Held, Tokens
from app.settings import Settings
from app.store.connections import Consent
from app.store.engine import Store
from app.store.tx import Tx

CALLBACK: Final = "/connect/callback"
"""Where services send people back to, below the public address."""

_PURPOSE: Final = "consent"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_SECRET: Final = re.compile(r"[\x20-\x7e]{0,4096}")
_CODE: Final = re.compile(r"[\x20-\x7e]{1,4096}")
_ERROR: Final = re.compile(r"[a-z0-9_.-]{1,64}")
log = structlog.get_logger()


class ConnectFailed(Conflict):
    """The service did not connect the account; start again from the page of connections."""

    code = "connect_failed"


@dataclass(frozen=True, slots=True)
class Listed:
    """A connection and the names of the targets that use it."""

    connection: Connection
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Consenting:
    """Where a person goes to consent.

    :ivar url: good for one use by the one who began, for ten minutes.
    :ivar host: of the page of consent, to be shown before somebody goes there.
    """

    connection: Connection
    url: str = field(repr=False)
    host: str


@dataclass(frozen=True, slots=True)
class CameBack:
    """What a service sent a person back with.

    :ivar issuer: who answers, by its own word (RFC 9207); empty when it does not say.
    """

    state: str = field(repr=False)
    code: str = field(default="", repr=False)
    issuer: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Connections:
    """The connections of the installation."""

    store: Store
    ids: Ids
    clock: SystemClock
    sealer: Sealer
    tokens: Tokens
    settings: Settings
    catalogue: Callable[[], tuple[Preset, ...]] = tuple

    @property
    def presets(self) -> Mapping[str, OAuthEndpoints]:
        """What is known of services that have one address for all, by the preset's name."""
        known = ((one.name, one.oauth) for one in self.catalogue() if not one.own_host)
        return {name: urls for name, urls in known if urls is not None}

    @property
    def redirect_uri(self) -> str:
        """The address that is registered at a service; from the settings alone."""
        return f"{self.settings.public_url}{CALLBACK}"

    async def list(self, caller: Caller) -> list[Listed]:
        """Return all connections by name, with the targets that use them."""
        require(caller, Scope.CONNECTION_MANAGE)
        return await self.store.read(_listed)

    async def get(self, caller: Caller, credential_id: str) -> Connection:
        """Return a connection.

        :raises NotFound: there is none.
        """
        require(caller, Scope.CONNECTION_MANAGE)
        held = await self.store.read(lambda tx: self.tokens.opened(tx, credential_id))
        return held.connection

    async def broken(self, caller: Caller) -> "list[str]":
        """Return the names of those that must be connected again, to somebody who may do so."""
        if not caller.may(Scope.CONNECTION_MANAGE):
            return []
        return await self.store.read(lambda tx: tx.connections.broken())

    async def create(
        self, caller: Caller, name: str, client: OAuthClient, secret: str, description: str = ""
    ) -> Connection:
        """Add a credential of an OAuth kind; nobody has consented yet.

        :param secret: the client's; empty for a public client.
        :raises InvalidField: with a pointer to what must change; never with the secret.
        :raises NameTaken: another credential has the name.
        """
        require(caller, Scope.ADMIN)
        return await self.store.write(
            lambda tx: self.enter(tx, caller, name, client, secret, description)
        )

    def enter(
        self,
        tx: Tx,
        caller: Caller,
        name: str,
        client: OAuthClient,
        secret: str,
        description: str = "",
    ) -> Connection:
        """Add one within a transaction, for a caller who may."""
        all_of(lambda: _check_name(name), lambda: _check(client, secret))
        made = Connection(self.ids.new("crd"), name, 1, client)
        credential = Credential(
            made.credential_id, "default", name, description, client.kind, 1, tx.now, tx.now,
            adds=("Authorization: ",),
        )  # fmt: skip
        self._add(tx, caller, credential, made, secret)
        return made

    def _add(
        self, tx: Tx, caller: Caller, credential: Credential, made: Connection, secret: str
    ) -> None:
        if tx.vault.named(made.name) is not None:
            raise NameTaken(pointer="/name")
        tx.vault.add(credential)
        tx.vault.put_fields(made.credential_id, self.tokens.seal(made, {"client_secret": secret}))
        tx.connections.add(made)
        _note(tx, caller, "credential.created", made)

    async def replace(
        self, caller: Caller, credential_id: str, client: OAuthClient, secret: str
    ) -> Connection:
        """Replace client, addresses and secret; what was connected is not any more.

        The secret is given anew each time: it must not go to an address that its owner never saw.
        """
        require(caller, Scope.ADMIN)
        _check(client, secret)
        return await self.store.write(
            lambda tx: self._replace(tx, caller, credential_id, client, secret),
            order=credential_id,
        )

    def _replace(
        self, tx: Tx, caller: Caller, credential_id: str, client: OAuthClient, secret: str
    ) -> Connection:
        before = self.tokens.opened(tx, credential_id, lock=True).connection
        if client.kind is not before.client.kind:
            message = f"this one is of the kind {before.client.kind}; make another"
            raise InvalidField(message, pointer="/kind")
        after = Connection(
            credential_id, before.name, before.version + 1, client, fence=before.fence
        )
        self.tokens.write(tx, after, {"client_secret": secret})
        tx.connections.forget_consents(credential_id)
        tx.targets.revise(credential_id)
        _note(tx, caller, "credential.updated", after)
        return after

    # --- consent ---

    async def start(self, caller: Caller, credential_id: str) -> Consenting:
        """Begin a consent and return the address of the service's page.

        :raises NotFound: there is no such connection.
        :raises InvalidField: it is of a kind that nobody consents to.
        """
        require(caller, Scope.CONNECTION_MANAGE)
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        found = await self.store.write(
            lambda tx: self._start(tx, caller, credential_id, state, verifier), order=credential_id
        )
        url = consent_url(found.client, self.redirect_uri, state, verifier)
        return Consenting(found, url, urlsplit(url).netloc)

    def _start(
        self, tx: Tx, caller: Caller, credential_id: str, state: str, verifier: str
    ) -> Connection:
        found = self.tokens.opened(tx, credential_id, lock=True).connection
        if found.client.kind is not OAuthKind.OAUTH2:
            message = "client credentials need nobody's consent"
            raise InvalidField(message, pointer="/kind")
        digest = _digest(state)
        tx.connections.begin(Consent(
            digest, credential_id, caller.person.id if caller.person else "",
            caller.session.sha256 if caller.session else "",
            self.sealer.seal(_PURPOSE, digest, verifier.encode()),
            tx.now, plus(tx.now, STATE_LIFE),
        ))  # fmt: skip
        _note(tx, caller, "connection.begun", found)
        return found

    async def finish(self, caller: Caller, came: CameBack) -> Connection:
        """Take what a service sent a person back with; on success the account is connected.

        The state is used up in any case, so that a code can be tried once.

        :raises ConnectFailed: the state is not of this session, over or used; the service refused
            or did not answer; the answer is another issuer's.
        """
        require(caller, Scope.CONNECTION_MANAGE)
        consent, held = await self._take(caller, came.state)
        self._judge(held.connection, came)
        verifier = self.sealer.open(_PURPOSE, consent.sha256, consent.verifier).decode()
        call = exchange_call(
            held.connection.client, held.secrets.get("client_secret", ""), came.code,
            self.redirect_uri, verifier,
        )  # fmt: skip
        try:
            found = await self.tokens.endpoint.ask(call)
        except (TokenRefused, TokenUnavailable) as error:
            host = urlsplit(call.url).netloc
            message = f"Not connected: {error.detail}, asked at {host}. Connect again; where it "
            message += "stays so, replace its client or addresses."
            raise ConnectFailed(message) from None
        return await self.store.write(
            lambda tx: self._finish(tx, caller, held.connection, found),
            order=held.connection.credential_id,
        )

    async def expected(self, caller: Caller, state: str) -> Connection:
        """Return what a consent under way is for; nothing is used up.

        :raises ConnectFailed: it is over, was used, or another session's.
        """
        require(caller, Scope.CONNECTION_MANAGE)
        digest = _digest(state)
        consent = await self.store.read(lambda tx: tx.connections.consent(digest))
        return await self.get(caller, _own(caller, consent).credential_id)

    async def _take(self, caller: Caller, state: str) -> tuple[Consent, Held]:
        digest = _digest(state)
        consent = await self.store.write(lambda tx: tx.connections.take(digest))
        consent = _own(caller, consent)
        credential_id = consent.credential_id
        return consent, await self.store.read(lambda tx: self.tokens.opened(tx, credential_id))

    def _judge(self, connection: Connection, came: CameBack) -> None:
        issuer = connection.client.endpoints.issuer
        if came.issuer and issuer and came.issuer != issuer:
            message = "Not connected: the answer names another issuer than the one that is set."
            raise ConnectFailed(message)
        if came.error or not _CODE.fullmatch(came.code):
            said = came.error if _ERROR.fullmatch(came.error) else "no code"
            raise ConnectFailed(f"Not connected: the service answered {said}. Start again.")

    def _finish(self, tx: Tx, caller: Caller, begun: Connection, found: TokenSet) -> Connection:
        now = self.tokens.opened(tx, begun.credential_id, lock=True)
        if now.connection.client != begun.client:
            message = "Not connected: its client or its addresses were changed meanwhile."
            raise ConnectFailed(message)
        alone = {"client_secret": now.secrets.get("client_secret", "")}
        fresh = replace(now.connection, granted=None)
        held = Held(fresh, alone)  # tokens of before may be another account's
        tx.targets.revise(begun.credential_id)  # and approvals were for that account (T3)
        return self.tokens.keep(tx, held, found, caller.actor, "connection.connected")

    # --- giving back ---

    async def disconnect(self, caller: Caller, credential_id: str) -> bool:
        """Forget the tokens, and give them back where the service has a place for it (RFC 7009).

        :returns: whether the service took them back; they are forgotten in any case.
        """
        require(caller, Scope.CONNECTION_MANAGE)
        held = await self.store.write(
            lambda tx: self._disconnect(tx, caller, credential_id), order=credential_id
        )
        client = held.connection.client
        if not client.endpoints.revoke_url:
            return False
        done = [await self._give_back(held, hint)
                for hint in ("refresh_token", "access_token") if hint in held.secrets]  # fmt: skip
        return bool(done) and all(done)

    def _disconnect(self, tx: Tx, caller: Caller, credential_id: str) -> Held:
        held = self.tokens.opened(tx, credential_id, lock=True)
        before = held.connection
        after = Connection(
            credential_id, before.name, before.version + 1, before.client, fence=before.fence
        )
        self.tokens.write(tx, after, {"client_secret": held.secrets.get("client_secret", "")})
        tx.connections.forget_consents(credential_id)
        _note(tx, caller, "connection.disconnected", after)
        return held

    async def _give_back(self, held: Held, hint: str) -> bool:
        secret = held.secrets.get("client_secret", "")
        try:
            await self.tokens.endpoint.revoke(
                revoke_call(held.connection.client, secret, held.secrets[hint], hint)
            )
        except TokenUnavailable as error:
            log.warning("token_not_revoked", credential=held.connection.name, error=error.detail)
            return False
        return True


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()


def _own(caller: Caller, consent: Consent | None) -> Consent:
    """Return a consent that this very session, or a key of this very person, began."""
    session = caller.session.sha256 if caller.session else ""
    person = caller.person.id if caller.person else ""
    if consent is None or consent.person_id != person or consent.session not in ("", session):
        message = "This consent is over, was used, or was begun by another session. Start again."
        raise ConnectFailed(message)
    return consent


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        message = "a name is up to 64 of a-z 0-9 _ . -, and begins with a letter or digit"
        raise InvalidField(message, pointer="/name")


def _check(client: OAuthClient, secret: str) -> None:
    all_of(lambda: checked(client), lambda: _check_secret(client.kind, secret))


def _check_secret(kind: OAuthKind, secret: str) -> None:
    if not _SECRET.fullmatch(secret):
        message = "a client secret is plain ASCII, up to 4096 characters"
        raise InvalidField(message, pointer="/client_secret")
    if kind is OAuthKind.CLIENT_CREDENTIALS and not secret:
        message = "client credentials need a secret"
        raise InvalidField(message, pointer="/client_secret")
    if secret and (len(secret) < MIN_SECRET_LENGTH or MARK in secret or secret in MARK):
        message = f"use at least {MIN_SECRET_LENGTH} characters: shorter ones cannot be redacted"
        raise InvalidField(message, pointer="/client_secret")


def _note(tx: Tx, caller: Caller, event: str, connection: Connection) -> None:
    details: dict[str, JsonValue] = {
        "name": connection.name, "kind": connection.client.kind.value,
        "service": urlsplit(connection.client.endpoints.token_url).netloc,
    }  # fmt: skip
    tx.note(event, caller.actor, f"credential:{connection.credential_id}", details)


def _listed(tx: Tx) -> list[Listed]:
    using: dict[str, list[str]] = {}
    for credential_id, name in tx.connections.targets():
        using.setdefault(credential_id, []).append(name)
    return [Listed(item, tuple(using.get(item.credential_id, ()))) for item in tx.connections.all()]
