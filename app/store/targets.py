"""Targets."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, select, update

from app.core.calls import CallRule
from app.core.targets import Target, TargetSettings
from app.store.sql import Sql, table_of
from app.store.tables_directory import TargetRow
from app.store.unique import unique

if TYPE_CHECKING:
    from app.store.tx import Tx

T = table_of(TargetRow)
_COLUMNS = (
    T.c.id, T.c.name, T.c.description, T.c.kind, T.c.base_url, T.c.revision, T.c.enabled,
    T.c.credential_id, T.c.created_at, T.c.updated_at, T.c.settings,
)  # fmt: skip
_GET = Sql(select(*_COLUMNS).where(T.c.id == bindparam("id")))


class Targets:
    """The targets of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def get(self, target_id: str) -> Target | None:
        """Return a target, or None."""
        row = self._tx.run(_GET, {"id": target_id}).fetchone()
        return None if row is None else _target(row)

    def lock(self, target_id: str) -> Target | None:
        """Return a target that nobody else changes until this transaction ends, or None."""
        statement = select(*_COLUMNS).where(T.c.id == target_id).with_for_update(key_share=True)
        row = self._tx.query(statement).first()
        return None if row is None else _target(row)

    def named(self, name: str) -> Target | None:
        """Return the target of that name, or None."""
        row = self._tx.query(select(*_COLUMNS).where(T.c.name == name)).first()
        return None if row is None else _target(row)

    def all(self) -> list[Target]:
        """Return all targets by name."""
        return [_target(row) for row in self._tx.query(select(*_COLUMNS).order_by(T.c.name))]

    def add(self, target: Target) -> None:
        """Add a target.

        :raises NameTaken: somebody else took the name meanwhile.
        """
        with unique():
            self._tx.query(insert(T).values(**_row(target)))

    def revise(self, credential_id: str) -> None:
        """Void what was approved at the targets of a credential, for calls look different now."""
        self._tx.query(
            update(T)
            .where(T.c.credential_id == credential_id)
            .values(revision=T.c.revision + 1, updated_at=self._tx.now)
        )

    def put(self, target: Target) -> None:
        """Write the changed target, which must be locked.

        :raises NameTaken: somebody else took the name meanwhile.
        """
        with unique():
            self._tx.query(update(T).where(T.c.id == target.id).values(**_row(target)))

    def remove(self, target_id: str) -> None:
        """Remove a target.

        :raises VersionMismatch: something refers to it since.
        """
        with unique():
            self._tx.query(delete(T).where(T.c.id == target_id))


def _row(target: Target) -> dict[str, object]:
    values = asdict(target)
    values["settings"] = json.dumps(values["settings"])
    return values


def _target(row: Any) -> Target:
    values = list(row)
    values[6] = bool(values[6])
    settings = json.loads(values[10])
    for name in ("networks", "methods"):
        settings[name] = tuple(settings[name])
    for name in ("allow", "deny"):
        settings[name] = tuple(
            CallRule(tuple(one["methods"]), tuple(one["paths"])) for one in settings.get(name, ())
        )
    values[10] = TargetSettings(**settings)
    return Target(*values)
