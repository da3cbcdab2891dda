"""Credentials, their sealed fields and the leave to use them."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, delete, insert, select, update

from app.core.instant import Instant
from app.core.targets import Credential, CredentialGrant
from app.store.sql import table_of
from app.store.tables_directory import CredentialRow, GrantRow, VaultFieldRow

if TYPE_CHECKING:
    from app.store.tx import Tx

C = table_of(CredentialRow)
F = table_of(VaultFieldRow)
G = table_of(GrantRow)


class Vault:
    """The credentials of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def get(self, credential_id: str) -> Credential | None:
        """Return a credential without values, or None."""
        return self._one(C.c.id == credential_id)

    def named(self, name: str) -> Credential | None:
        """Return the credential of that name, or None."""
        return self._one(C.c.name == name)

    def _one(self, condition: ColumnElement[bool]) -> Credential | None:
        row = self._tx.query(select(C).where(condition)).first()
        return None if row is None else Credential(*row, fields=self._names(str(row[0])))

    def _names(self, credential_id: str) -> tuple[str, ...]:
        statement = select(F.c.name).where(F.c.credential_id == credential_id).order_by(F.c.name)
        return tuple(self._tx.query(statement).scalars())

    def all(self) -> list[Credential]:
        """Return all credentials by name, without values."""
        rows = self._tx.query(select(C).order_by(C.c.name)).all()
        return [Credential(*row, fields=self._names(str(row[0]))) for row in rows]

    def add(self, credential: Credential) -> None:
        """Add a credential; its fields are put apart."""
        self._tx.query(insert(C).values(**_row(credential)))

    def put(self, credential: Credential) -> None:
        """Write the changed credential."""
        self._tx.query(update(C).where(C.c.id == credential.id).values(**_row(credential)))

    def remove(self, credential_id: str) -> None:
        """Remove a credential with its fields and grants."""
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

    def fields(self, credential_id: str) -> dict[str, bytes]:
        """Return the sealed fields of a credential by name."""
        rows = self._tx.query(
            select(F.c.name, F.c.sealed).where(F.c.credential_id == credential_id)
        )
        return {str(row[0]): bytes(row[1]) for row in rows}

    def sealed_with_other(self, master_key: str) -> list[tuple[str, str, bytes]]:
        """Return (credential id, field, sealed) that another master key seals."""
        statement = select(F.c.credential_id, F.c.name, F.c.sealed).where(
            F.c.master_key != master_key
        )
        return [(str(r[0]), str(r[1]), bytes(r[2])) for r in self._tx.query(statement)]

    def put_field(self, credential_id: str, name: str, sealed: bytes, master_key: str) -> None:
        """Replace the sealing of one field."""
        self._tx.query(
            update(F)
            .where(F.c.credential_id == credential_id, F.c.name == name)
            .values(sealed=sealed, master_key=master_key)
        )

    # --- grants ---

    def grant(self, grant: CredentialGrant, now: Instant) -> None:
        """Give leave; giving it twice changes nothing."""
        if not self.is_granted(grant.credential_id, grant.target_id, grant.agent_id):
            self._tx.query(insert(G).values(**asdict(grant), created_at=now))

    def is_granted(self, credential_id: str, target_id: str, agent_id: str) -> bool:
        """Whether exactly this leave was given."""
        statement = select(G.c.agent_id).where(
            G.c.credential_id == credential_id,
            G.c.target_id == target_id,
            G.c.agent_id == agent_id,
        )
        return self._tx.query(statement).first() is not None

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

    def drop_grants_at(self, target_id: str) -> None:
        """Take back all leave at a target."""
        self._tx.query(delete(G).where(G.c.target_id == target_id))


def _row(credential: Credential) -> dict[str, object]:
    values = asdict(credential)
    del values["fields"]
    return values
