"""Targets."""

import json
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, exists, insert, select, update

from app.core.action import Kind
from app.core.calls import CallRule
from app.core.ssh_action import SshHop
from app.core.ssh_target import SshSettings
from app.core.targets import CredentialRule, Target, TargetSettings
from app.store.sql import Sql, first, table_of
from app.store.tables_directory import TargetCredentialRow, TargetRow
from app.store.unique import unique

if TYPE_CHECKING:
    from app.store.tx import Tx

T = table_of(TargetRow)
R = table_of(TargetCredentialRow)
_ROWS: Final = 1024
"""Rows that are remembered with what was read from them."""

_COLUMNS = (
    T.c.id, T.c.name, T.c.description, T.c.kind, T.c.base_url, T.c.revision, T.c.enabled,
    T.c.credential_id, T.c.created_at, T.c.updated_at, T.c.settings,
    exists(select(1).where(R.c.target_id == T.c.id)).label("ruled"),
)  # fmt: skip
_RULES = Sql(
    select(R.c.credential_id, R.c.methods, R.c.paths)
    .where(R.c.target_id == bindparam("id"))
    .order_by(R.c.position)
)
_GET = Sql(select(*_COLUMNS).where(T.c.id == bindparam("id")))
_NAMED = Sql(select(*_COLUMNS).where(T.c.name == bindparam("name")))


class Targets:
    """The targets of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def get(self, target_id: str) -> Target | None:
        """Return a target, or None."""
        row = self._tx.ask(_GET, {"id": target_id}, _first_row)
        return None if row is None else self._target(row)

    def lock(self, target_id: str) -> Target | None:
        """Return a target that nobody else changes until this transaction ends, or None."""
        statement = select(*_COLUMNS).where(T.c.id == target_id).with_for_update(key_share=True)
        row = self._tx.query(statement).first()
        return None if row is None else self._target(row)

    def named(self, name: str) -> Target | None:
        """Return the target of that name, or None."""
        row = self._tx.run(_NAMED, {"name": name}).fetchone()
        return None if row is None else self._target(row)

    def all(self) -> list[Target]:
        """Return all targets by name."""
        rows = self._tx.query(select(*_COLUMNS).order_by(T.c.name)).all()
        return [self._target(row) for row in rows]

    def any_of(self, kind: Kind) -> bool:
        """Whether there is a target of this kind."""
        wanted = select(T.c.id).where(T.c.kind == kind.value).limit(1)
        return self._tx.query(wanted).first() is not None

    def add(self, target: Target) -> None:
        """Add a target.

        :raises NameTaken: somebody else took the name meanwhile.
        """
        with unique():
            self._tx.query(insert(T).values(**_row(target)))
            self._put_rules(target)

    def revise(self, credential_id: str) -> None:
        """Void what was approved at the targets of a credential, for calls look different now."""
        self._tx.query(
            update(T)
            .where(
                (T.c.credential_id == credential_id)
                | exists().where(R.c.target_id == T.c.id, R.c.credential_id == credential_id)
            )
            .values(revision=T.c.revision + 1, updated_at=self._tx.now)
        )

    def put(self, target: Target) -> None:
        """Write the changed target, which must be locked.

        :raises NameTaken: somebody else took the name meanwhile.
        """
        with unique():
            self._tx.query(update(T).where(T.c.id == target.id).values(**_row(target)))
            self._tx.query(delete(R).where(R.c.target_id == target.id))
            self._put_rules(target)

    def _put_rules(self, target: Target) -> None:
        for position, rule in enumerate(target.credentials):
            values = {name: json.dumps(value) if isinstance(value, tuple) else value
                      for name, value in asdict(rule).items()}  # fmt: skip
            values |= {"target_id": target.id, "position": position}
            self._tx.query(insert(R).values(**values))

    def remove(self, target_id: str) -> None:
        """Remove a target.

        :raises VersionMismatch: something refers to it since.
        """
        with unique():
            self._tx.query(delete(R).where(R.c.target_id == target_id))
            self._tx.query(delete(T).where(T.c.id == target_id))

    def _target(self, row: Any) -> Target:
        *values, ruled = row
        rules = self._rules(str(values[0])) if ruled else ()
        return _target(tuple(values), rules)

    def _rules(self, target_id: str) -> tuple[CredentialRule, ...]:
        return self._tx.ask(_RULES, {"id": target_id}, _rules)


_first_row: Final = first(tuple[Any, ...])


def _rules(rows: list[Any]) -> tuple[CredentialRule, ...]:
    return tuple(
        CredentialRule(row[0], tuple(json.loads(row[1])), tuple(json.loads(row[2]))) for row in rows
    )


@lru_cache(_ROWS)
def _target(row: tuple[Any, ...], rules: tuple[CredentialRule, ...]) -> Target:
    values = list(row)
    values[6] = bool(values[6])
    values[10] = _settings(values[10])
    return Target(*values, credentials=rules)


def _settings(text: str) -> TargetSettings:
    settings = json.loads(text)
    for name in ("networks", "methods"):
        settings[name] = tuple(settings[name])
    for name in ("allow", "deny"):
        settings[name] = tuple(
            CallRule(tuple(one["methods"]), tuple(one["paths"])) for one in settings.get(name, ())
        )
    if settings.get("ssh") is not None:
        settings["ssh"] = _ssh(settings["ssh"])
    return TargetSettings(**settings)


def _ssh(fields: dict[str, Any]) -> SshSettings:
    for name in ("host_keys", "ca_keys", "hosts", "cidrs", "profiles"):
        fields[name] = tuple(fields[name])
    hops = fields.pop("jumps")
    jumps = (SshHop(hop["host"], hop["port"], hop["user"], tuple(hop["keys"])) for hop in hops)
    return SshSettings(**fields, jumps=tuple(jumps))


def _row(target: Target) -> dict[str, object]:
    values = asdict(target)
    del values["credentials"]
    values["settings"] = json.dumps(values["settings"])
    return values
