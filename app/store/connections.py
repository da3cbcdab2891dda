"""How the tokens of OAuth credentials stand, and consents under way."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, delete, insert, select, update

from app.core.connections import Connection, ConnectionState
from app.core.instant import Instant
from app.core.oauth import ClientAuth, OAuthClient, OAuthEndpoints, OAuthKind
from app.store.sql import table_of
from app.store.tables_directory import (
    ConnectionRow,
    ConsentRow,
    CredentialRow,
    TargetRow,
    VaultFieldRow,
)

if TYPE_CHECKING:
    from app.store.tx import Tx

K = table_of(ConnectionRow)
S = table_of(ConsentRow)
C = table_of(CredentialRow)
F = table_of(VaultFieldRow)
T = table_of(TargetRow)


@dataclass(frozen=True, slots=True)
class Consent:
    """Somebody who went to a service to consent.

    :ivar session: SHA-256 of the session that began it; empty when a key began it.
    :ivar verifier: the sealed PKCE verifier.
    """

    sha256: str
    credential_id: str
    person_id: str
    session: str
    verifier: bytes
    created_at: Instant
    expires_at: Instant


class Connections:
    """The connections of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def get(self, credential_id: str) -> Connection | None:
        """Return a connection, or None."""
        row = self._tx.query(_JOINED.where(K.c.credential_id == credential_id)).first()
        return None if row is None else _connection(row)

    def lock(self, credential_id: str) -> Connection | None:
        """Return a connection that nobody else changes until this transaction ends, or None."""
        statement = select(K.c.fence).where(K.c.credential_id == credential_id).with_for_update()
        if self._tx.query(statement).first() is None:
            return None
        self._tx.vault.lock(credential_id)
        return self.get(credential_id)

    def all(self) -> list[Connection]:
        """Return all connections by name."""
        return [_connection(row) for row in self._tx.query(_JOINED.order_by(C.c.name)).all()]

    def broken(self) -> list[str]:
        """Return the names of those that a person must connect again."""
        found = (
            select(C.c.name)
            .join(K, K.c.credential_id == C.c.id)
            .where(K.c.state == ConnectionState.RECONNECT.value)
            .order_by(C.c.name)
        )
        return list(self._tx.query(found).scalars())

    def targets(self) -> list[tuple[str, str]]:
        """Return (credential id, name of a target that uses it), by name."""
        found = (
            select(T.c.credential_id, T.c.name)
            .join(K, K.c.credential_id == T.c.credential_id)
            .order_by(T.c.name)
        )
        return [(str(row[0]), str(row[1])) for row in self._tx.query(found)]

    def add(self, connection: Connection) -> None:
        """Add the connection of a credential that was just added."""
        self._tx.query(insert(K).values(**_row(connection)))

    def put(self, connection: Connection) -> None:
        """Write a changed connection, which must be locked, without its version and secrets."""
        statement = update(K).where(K.c.credential_id == connection.credential_id)
        self._tx.query(statement.values(**_row(connection)))

    def secrets(self, credential_id: str) -> dict[str, bytes]:
        """Return the sealed fields by name."""
        found = select(F.c.name, F.c.sealed).where(F.c.credential_id == credential_id)
        return {str(row[0]): bytes(row[1]) for row in self._tx.query(found)}

    def put_secrets(
        self, credential_id: str, version: int, sealed: dict[str, tuple[bytes, str]]
    ) -> None:
        """Replace the sealed fields by those of a new version of the locked credential."""
        changed = update(C).where(C.c.id == credential_id).values(version=version)
        self._tx.query(changed)
        self._tx.vault.put_fields(credential_id, sealed)

    def drop(self, credential_id: str) -> None:
        """Remove a connection, if there is one, with the consents under way."""
        self.forget_consents(credential_id)
        self._tx.query(delete(K).where(K.c.credential_id == credential_id))

    # --- consents ---

    def begin(self, consent: Consent) -> None:
        """Add a consent under way; those that are over go."""
        self._tx.query(delete(S).where(S.c.expires_at <= self._tx.now))
        self._tx.query(insert(S).values(**asdict(consent)))

    def forget_consents(self, credential_id: str) -> None:
        """Remove the consents under way of a connection."""
        self._tx.query(delete(S).where(S.c.credential_id == credential_id))

    def consent(self, sha256: str) -> Consent | None:
        """Return a consent that is not over, or None."""
        live = select(S).where(S.c.sha256 == sha256, S.c.expires_at > self._tx.now)
        row = self._tx.query(live).first()
        return None if row is None else Consent(*row)

    def take(self, sha256: str) -> Consent | None:
        """Remove and return a consent that is not over; it is taken once."""
        found = self.consent(sha256)
        gone = self._tx.query(delete(S).where(S.c.sha256 == sha256)).rowcount
        return found if gone == 1 else None


_STATE = (
    K.c.state, K.c.granted, K.c.expires_at, K.c.refreshed_at, K.c.stale, K.c.failing_since,
    K.c.error_at, K.c.last_error, K.c.lease_until, K.c.fence,
)  # fmt: skip
_JOINED: Select[*tuple[Any, ...]] = select(
    C.c.id, C.c.name, C.c.version, C.c.kind, K.c.client, *_STATE
).join(K, K.c.credential_id == C.c.id)


def _connection(row: Any) -> Connection:
    credential_id, name, version, kind, client, state, granted, *rest = row
    scopes = None if granted is None else tuple(granted.split())
    return Connection(
        credential_id, name, version, _client(kind, json.loads(client)), ConnectionState(state),
        scopes, *rest,
    )  # fmt: skip


def _client(kind: str, document: dict[str, Any]) -> OAuthClient:
    urls = document["endpoints"]
    urls |= {"scopes": tuple(urls["scopes"]), "client_auth": ClientAuth(urls["client_auth"])}
    return OAuthClient(
        OAuthKind(kind), document["client_id"], OAuthEndpoints(**urls), tuple(document["networks"])
    )


def _row(connection: Connection) -> dict[str, Any]:
    row = asdict(connection)
    client = row.pop("client")
    del client["kind"], row["name"], row["version"]
    granted = connection.granted
    row |= {
        "client": json.dumps(client),
        "state": connection.state.value,
        "granted": None if granted is None else " ".join(granted),
    }
    return row
