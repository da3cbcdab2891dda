"""Credentials, their sealed fields and the leave to use them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, Row, bindparam, delete, exists, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.core.instant import Instant
from app.core.targets import Credential, CredentialGrant
from app.store.sql import Sql, table_of
from app.store.tables_directory import CredentialRow, GrantRow, VaultFieldRow
from app.store.unique import unique

if TYPE_CHECKING:
    from app.store.tx import Tx

C = table_of(CredentialRow)
F = table_of(VaultFieldRow)
G = table_of(GrantRow)
_AT: Final = (G.c.credential_id == C.c.id, G.c.target_id == bindparam("target"))
_OF: Final = G.c.agent_id.in_((bindparam("one"), bindparam("other")))
_GRANTED: Final = Sql(
    select(C.c.kind, C.c.version, F.c.name, F.c.sealed)
    .join(F, F.c.credential_id == C.c.id)
    .where(C.c.id == bindparam("credential"), exists().where(*_AT, _OF))
)
_SECRETS_OF: Final = Sql(
    select(C.c.id, C.c.version, C.c.public_fields, F.c.name, F.c.sealed)
    .join(F, F.c.credential_id == C.c.id)
    .where(C.c.kind == bindparam("kind"))
)
_FIRST_LIST = 8
"""Place of the first column of a credential that holds a list."""


@dataclass(frozen=True, slots=True)
class SealedField:
    """One sealed value and the place that it is bound to."""

    credential_id: str
    version: int
    name: str
    sealed: bytes


Granted = tuple[str, int, dict[str, bytes]]
"""Kind, version and sealed fields of a credential that may be used."""


class Vault:
    """The credentials of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def get(self, credential_id: str) -> Credential | None:
        """Return a credential without values, or None."""
        return self._one(C.c.id == credential_id)

    def lock(self, credential_id: str) -> Credential | None:
        """Return a credential that nobody else changes until this transaction ends, or None."""
        statement = select(C).where(C.c.id == credential_id).with_for_update(key_share=True)
        row = self._tx.query(statement).first()
        return None if row is None else self._credential(row)

    def named(self, name: str) -> Credential | None:
        """Return the credential of that name, or None."""
        return self._one(C.c.name == name)

    def _one(self, condition: ColumnElement[bool]) -> Credential | None:
        row = self._tx.query(select(C).where(condition)).first()
        return None if row is None else self._credential(row)

    def _credential(self, row: Row[Any]) -> Credential:
        values = list(row)
        for place in range(_FIRST_LIST, len(values)):
            values[place] = tuple(json.loads(values[place]))
        return Credential(*values, fields=self._names(str(row[0])))

    def _names(self, credential_id: str) -> tuple[str, ...]:
        statement = select(F.c.name).where(F.c.credential_id == credential_id).order_by(F.c.name)
        return tuple(self._tx.query(statement).scalars())

    def all(self) -> list[Credential]:
        """Return all credentials by name, without values."""
        rows = self._tx.query(select(C).order_by(C.c.name)).all()
        return [self._credential(row) for row in rows]

    def add(self, credential: Credential) -> None:
        """Add a credential; its fields are put apart.

        :raises NameTaken: somebody else took the name meanwhile.
        """
        with unique():
            self._tx.query(insert(C).values(**_row(credential)))

    def put(self, credential: Credential) -> None:
        """Write the changed credential, which must be locked.

        :raises NameTaken: somebody else took the name meanwhile.
        """
        with unique():
            self._tx.query(update(C).where(C.c.id == credential.id).values(**_row(credential)))

    def remove(self, credential_id: str) -> None:
        """Remove a credential with its fields and grants.

        :raises VersionMismatch: a target refers to it since.
        """
        with unique():
            self._tx.query(delete(G).where(G.c.credential_id == credential_id))
            self._tx.query(delete(F).where(F.c.credential_id == credential_id))
            self._tx.query(delete(C).where(C.c.id == credential_id))

    def put_fields(self, credential_id: str, sealed: dict[str, tuple[bytes, str]]) -> None:
        """Replace all fields: name to (sealed value, id of the master key)."""
        self._tx.query(delete(F).where(F.c.credential_id == credential_id))
        rows = [
            {"credential_id": credential_id, "name": name, "sealed": value, "master_key": key}
            for name, (value, key) in sealed.items()
        ]
        for row in rows:
            self._tx.query(insert(F).values(**row))

    def granted(
        self, credential_id: str, target_id: str, agents: tuple[str, str]
    ) -> Granted | None:
        """Return kind, version and sealed fields for one of two agents at a target.

        One statement, so all of it is of one moment. None when none of them has leave.
        """
        one, other = agents
        given = {"credential": credential_id, "target": target_id, "one": one, "other": other}
        return self._tx.ask(_GRANTED, given, _granted)

    def secrets_of(self, kind: str) -> Sequence[SealedField]:
        """Return the secret fields of all credentials of a kind."""
        return self._tx.ask(_SECRETS_OF, {"kind": kind}, _sealed)

    def granted_items(self, kind: str, agents: Sequence[str]) -> list[tuple[str, str]]:
        """Return credentials of a kind with the targets where one of these agents has leave."""
        statement = (
            select(G.c.credential_id, G.c.target_id)
            .join(C, C.c.id == G.c.credential_id)
            .where(C.c.kind == kind, G.c.agent_id.in_(agents))
            .distinct()
        )
        return [(str(row[0]), str(row[1])) for row in self._tx.query(statement)]

    def sealed_with_other(self, master_key: str, most: int) -> list[SealedField]:
        """Return up to ``most`` fields that another master key seals."""
        statement = (
            select(F.c.credential_id, C.c.version, F.c.name, F.c.sealed)
            .join(C, C.c.id == F.c.credential_id)
            .where(F.c.master_key != master_key)
            .order_by(F.c.credential_id, F.c.name)
            .limit(most)
        )
        return [
            SealedField(str(r[0]), int(r[1]), str(r[2]), bytes(r[3]))
            for r in self._tx.query(statement)
        ]

    def reseal(self, field: SealedField, sealed: bytes, master_key: str) -> bool:
        """Replace the sealing of a field; False when its value changed meanwhile."""
        statement = update(F).where(
            F.c.credential_id == field.credential_id,
            F.c.name == field.name,
            F.c.sealed == field.sealed,
        )
        done = self._tx.query(statement.values(sealed=sealed, master_key=master_key))
        return done.rowcount == 1

    # --- grants ---

    def grant(self, grant: CredentialGrant, now: Instant) -> None:
        """Give leave; giving it twice changes nothing."""
        maker = sqlite.insert if self._tx.engine == "sqlite" else postgresql.insert
        statement = maker(G).values(**asdict(grant), created_at=now)
        with unique():
            self._tx.query(statement.on_conflict_do_nothing())

    def revoke(self, grant: CredentialGrant) -> bool:
        """Take leave back; False when it was not given."""
        statement = delete(G).where(
            G.c.credential_id == grant.credential_id,
            G.c.target_id == grant.target_id,
            G.c.agent_id == grant.agent_id,
        )
        return self._tx.query(statement).rowcount == 1

    def grants(self, credential_id: str) -> list[CredentialGrant]:
        """Return the leave given for a credential."""
        statement = select(G.c.credential_id, G.c.target_id, G.c.agent_id).where(
            G.c.credential_id == credential_id
        )
        return [CredentialGrant(*row) for row in self._tx.query(statement)]

    def grants_at(self, target_id: str) -> list[CredentialGrant]:
        """Return all leave given at a target."""
        statement = select(G.c.credential_id, G.c.target_id, G.c.agent_id).where(
            G.c.target_id == target_id
        )
        return [CredentialGrant(*row) for row in self._tx.query(statement)]

    def drop_grants_at(self, target_id: str, credentials: Iterable[str] | None = None) -> None:
        """Take back all leave at a target, or that for some credentials."""
        statement = delete(G).where(G.c.target_id == target_id)
        if credentials is not None:
            statement = statement.where(G.c.credential_id.in_(list(credentials)))
        self._tx.query(statement)


def _row(credential: Credential) -> dict[str, object]:
    values = asdict(credential)
    del values["fields"]
    for name in ("domains", "public_fields", "adds"):
        values[name] = json.dumps(values[name])
    return values


def _granted(rows: list[Any]) -> Granted | None:
    if not rows:
        return None
    fields = {str(row[2]): bytes(row[3]) for row in rows}
    return str(rows[0][0]), int(rows[0][1]), fields


def _sealed(rows: list[Any]) -> tuple[SealedField, ...]:
    return tuple(
        SealedField(str(row[0]), int(row[1]), str(row[3]), bytes(row[4]))
        for row in rows
        if row[3] not in json.loads(row[2])
    )
