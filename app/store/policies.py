"""Policies and all their versions."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, insert, literal_column, select, update

from app.core.instant import Instant
from app.core.json_types import JsonObject
from app.store.sql import Sql, table_of
from app.store.tables_directory import PolicyRow, PolicyVersionRow, SettingRow
from app.store.unique import unique

if TYPE_CHECKING:
    from app.store.tx import Tx

P = table_of(PolicyRow)
V = table_of(PolicyVersionRow)
G = table_of(SettingRow)
_NUMBER = select(G.c.value).where(G.c.name == literal_column("'policy_revision'"))
_REVISION = Sql(_NUMBER)

REVISION: Final = _NUMBER.scalar_subquery()
"""The revision as a column of another statement; nothing where no policy was ever made."""


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """A policy document as stored."""

    id: str
    name: str
    version: int
    priority: int
    enabled: bool
    document: JsonObject
    author: str
    created_at: Instant
    updated_at: Instant


class Policies:
    """The policies of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def get(self, policy_id: str) -> PolicyRecord | None:
        """Return a policy, or None."""
        row = self._tx.query(select(P).where(P.c.id == policy_id)).first()
        return None if row is None else _record(tuple(row))

    def lock(self, policy_id: str) -> PolicyRecord | None:
        """Return a policy that nobody else changes until this transaction ends, or None."""
        statement = select(P).where(P.c.id == policy_id).with_for_update(key_share=True)
        row = self._tx.query(statement).first()
        return None if row is None else _record(tuple(row))

    def named(self, name: str) -> PolicyRecord | None:
        """Return the policy of that name, or None."""
        row = self._tx.query(select(P).where(P.c.name == name)).first()
        return None if row is None else _record(tuple(row))

    def all(self) -> list[PolicyRecord]:
        """Return all policies in the order of evaluation."""
        rows = self._tx.query(select(P).order_by(P.c.priority, P.c.id))
        return [_record(tuple(row)) for row in rows]

    def add(self, record: PolicyRecord) -> None:
        """Add a policy and keep its first version.

        :raises NameTaken: somebody else took the name meanwhile.
        """
        with unique():
            self._tx.query(insert(P).values(**_row(record)))
        self._keep(record)

    def put(self, record: PolicyRecord) -> None:
        """Write the changed policy, which must be locked, and keep its version.

        :raises NameTaken: somebody else took the name meanwhile.
        """
        with unique():
            self._tx.query(update(P).where(P.c.id == record.id).values(**_row(record)))
        self._keep(record)

    def remove(self, policy_id: str) -> None:
        """Remove a policy; its versions are kept."""
        self._tx.query(delete(P).where(P.c.id == policy_id))
        self._raise_revision()

    def version(self, policy_id: str, version: int) -> JsonObject | None:
        """Return the document of one version, or None."""
        statement = select(V.c.document).where(V.c.policy_id == policy_id, V.c.version == version)
        document = self._tx.query(statement).scalar_one_or_none()
        return None if document is None else json.loads(document)

    def versions(self, policy_id: str) -> list[tuple[int, str, Instant]]:
        """Return (version, author, time) of all versions, newest first."""
        statement = (
            select(V.c.version, V.c.author, V.c.created_at)
            .where(V.c.policy_id == policy_id)
            .order_by(V.c.version.desc())
        )
        return [(int(r[0]), str(r[1]), Instant(r[2])) for r in self._tx.query(statement)]

    def revision(self) -> int:
        """Return the number that grows with every change of any policy."""
        row = self._tx.run(_REVISION, {}).fetchone()
        return 0 if row is None else int(row[0])

    def _keep(self, record: PolicyRecord) -> None:
        self._tx.query(
            insert(V).values(
                policy_id=record.id,
                version=record.version,
                document=json.dumps(record.document),
                author=record.author,
                created_at=record.updated_at,
            )
        )
        self._raise_revision()

    def _raise_revision(self) -> None:
        """Let every process read the policies again; two changes at once raise it twice."""
        self._tx.people.raise_setting("policy_revision")


def _row(record: PolicyRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "name": record.name,
        "version": record.version,
        "priority": record.priority,
        "enabled": record.enabled,
        "document": json.dumps(record.document),
        "author": record.author,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
    }


def _record(row: tuple[Any, ...]) -> PolicyRecord:
    values = list(row)
    values[4] = bool(values[4])
    values[5] = _document(str(values[5]))
    return PolicyRecord(*values)


def _document(text: str) -> JsonObject:
    """Return a stored document; an empty one, which is no policy, for what cannot be read.

    So a broken row fails where policies are compiled, which turns everything into a review.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
