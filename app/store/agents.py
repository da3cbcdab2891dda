"""Agents, their keys and the calls that limited keys made."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.core.bucket import SLOTS
from app.core.instant import Instant
from app.core.principals import Agent, ApiKey, Permission, Scope
from app.store.policies import REVISION
from app.store.sql import Sql, first, table_of
from app.store.tables_directory import AgentRow, KeyRow, RateRow
from app.store.unique import unique

if TYPE_CHECKING:
    from app.store.tx import Tx

A = table_of(AgentRow)
K = table_of(KeyRow)
M = table_of(RateRow)

_BY_SHA = Sql(select(K).where(K.c.sha256 == bindparam("sha256")))
_AGENT = Sql(select(A).where(A.c.id == bindparam("id")))
_KEY = Sql(select(K).where(K.c.id == bindparam("id")))
_ASKER = Sql(
    select(A, K).outerjoin(K, K.c.id == bindparam("key_id")).where(A.c.id == bindparam("id"))
)
_STANDS = Sql(select(K.c.id).where(K.c.id == bindparam("id"), K.c.revoked_at.is_(None)))
_ROWS: Final = 1024
"""Rows that are remembered with what was read from them."""

_STANDS_SO = (
    select(A.c.frozen, A.c.open_limit, REVISION)
    .join(K, K.c.agent_id == A.c.id)
    .where(K.c.id == bindparam("id"), K.c.revoked_at.is_(None))
)
_STANDING = Sql(_STANDS_SO)
_STANDING_HELD = Sql(_STANDS_SO, suffix={"postgresql": " FOR NO KEY UPDATE OF agents"})
_HOLD_KEY = Sql(
    select(K.c.id).where(K.c.id == bindparam("id")),
    suffix={"postgresql": " FOR NO KEY UPDATE"},
)
_CALLS = Sql(
    select(M.c.slot, M.c.calls).where(
        M.c.key_id == bindparam("key_id"), M.c.slot >= bindparam("since")
    )
)


class Agents:
    """The agents and keys of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def get(self, agent_id: str) -> Agent | None:
        """Return an agent, or None."""
        return self._tx.ask(_AGENT, {"id": agent_id}, _first_agent)

    def lock(self, agent_id: str) -> Agent | None:
        """Return an agent that nobody else changes until this transaction ends, or None."""
        statement = select(A).where(A.c.id == agent_id).with_for_update(key_share=True)
        row = self._tx.query(statement).first()
        return None if row is None else _agent(row)

    def named(self, name: str) -> Agent | None:
        """Return the agent of that name, or None."""
        row = self._tx.query(select(A).where(A.c.name == name)).first()
        return None if row is None else _agent(row)

    def all(self) -> list[Agent]:
        """Return all agents by name."""
        return [_agent(row) for row in self._tx.query(select(A).order_by(A.c.name))]

    def add(self, agent: Agent) -> None:
        """Add an agent.

        :raises NameTaken: somebody else took the name meanwhile.
        """
        with unique():
            self._tx.query(insert(A).values(**asdict(agent)))

    def put(self, agent: Agent) -> None:
        """Write the changed agent, which must be locked.

        :raises NameTaken: somebody else took the name meanwhile.
        """
        with unique():
            self._tx.query(update(A).where(A.c.id == agent.id).values(**asdict(agent)))

    def seen(self, agent_id: str, now: Instant) -> None:
        """Note when the agent last called, unless a later call is on record."""
        earlier = or_(A.c.last_seen_at.is_(None), A.c.last_seen_at < now)
        self._tx.query(update(A).where(A.c.id == agent_id, earlier).values(last_seen_at=now))

    # --- keys ---

    def key_by_sha(self, sha256: str) -> ApiKey | None:
        """Return the key with that digest, whatever its state, or None."""
        row = self._tx.run(_BY_SHA, {"sha256": sha256}).fetchone()
        return None if row is None else _key(row)

    def key(self, key_id: str) -> ApiKey | None:
        """Return a key, or None."""
        return self._tx.ask(_KEY, {"id": key_id}, _first_key)

    def asker(self, agent_id: str, key_id: str) -> tuple[Agent | None, ApiKey | None]:
        """Return an agent and a key, read at once; the key is None where the agent is."""
        return self._tx.ask(_ASKER, {"id": agent_id, "key_id": key_id}, _first_asker)

    def standing(self, key_id: str, *, hold: bool = False) -> tuple[bool, int, int] | None:
        """Return whether the agent of a key is frozen, and its most pending requests.

        By the way also the revision of the policies in force. None: there is no such key of an
        agent, or somebody revoked it.

        :param hold: let nobody else make the agent's requests until this transaction ends.
        """
        return self._tx.ask(_STANDING_HELD if hold else _STANDING, {"id": key_id}, _first_standing)

    def key_stands(self, key_id: str) -> bool:
        """Whether there is such a key, and nobody revoked it."""
        return self._tx.ask(_STANDS, {"id": key_id}, bool)

    def lock_key(self, key_id: str) -> ApiKey | None:
        """Return a key that nobody else changes until this transaction ends, or None."""
        statement = select(K).where(K.c.id == key_id).with_for_update(key_share=True)
        row = self._tx.query(statement).first()
        return None if row is None else _key(row)

    def replaced(self, key_id: str) -> bool:
        """Whether a key was made in the place of this one."""
        return self._tx.query(select(K.c.id).where(K.c.replaces == key_id)).first() is not None

    def keys(self, *, agent_id: str | None = None, person_id: str | None = None) -> list[ApiKey]:
        """Return keys, newest first, of one owner or of all."""
        statement = select(K).order_by(K.c.id.desc())
        if agent_id is not None:
            statement = statement.where(K.c.agent_id == agent_id)
        if person_id is not None:
            statement = statement.where(K.c.person_id == person_id)
        return [_key(row) for row in self._tx.query(statement)]

    def add_key(self, key: ApiKey) -> None:
        """Add a key."""
        with unique():
            self._tx.query(insert(K).values(**_key_row(key)))

    def put_key(self, key: ApiKey) -> None:
        """Write the changed key, which must be locked."""
        self._tx.query(update(K).where(K.c.id == key.id).values(**_key_row(key)))

    def revoke_keys(self, person_id: str, now: Instant) -> int:
        """Revoke all keys of a person and return how many could still be used."""
        statement = update(K).where(K.c.person_id == person_id, K.c.revoked_at.is_(None))
        return self._tx.query(statement.values(revoked_at=now)).rowcount

    def used(self, key_id: str, now: Instant) -> None:
        """Note when the key was last used, unless a later use is on record."""
        earlier = or_(K.c.last_used_at.is_(None), K.c.last_used_at < now)
        self._tx.query(update(K).where(K.c.id == key_id, earlier).values(last_used_at=now))

    def owners(self, key_ids: Iterable[str]) -> dict[str, str]:
        """Return the owning agents of those of these keys that are agents' keys."""
        statement = select(K.c.id, K.c.agent_id).where(
            K.c.id.in_(list(key_ids)), K.c.agent_id.is_not(None)
        )
        return {str(row[0]): str(row[1]) for row in self._tx.query(statement)}

    # --- calls of limited keys ---

    def hold_calls(self, key_id: str) -> None:
        """Let nobody else count calls of this key until this transaction ends."""
        self._tx.run(_HOLD_KEY, {"id": key_id}).fetchone()

    def count_call(self, key_id: str, slot: int) -> None:
        """Count one call of a key in a slot (of ``core/bucket.py``)."""
        maker = sqlite.insert if self._tx.engine == "sqlite" else postgresql.insert
        statement = maker(M).values(key_id=key_id, slot=slot, calls=1)
        self._tx.query(
            statement.on_conflict_do_update(
                index_elements=["key_id", "slot"], set_={"calls": M.c.calls + 1}
            )
        )

    def calls(self, key_id: str, since: int) -> dict[int, int]:
        """Return the counted calls of a key by slot, from one slot on."""
        rows = self._tx.run(_CALLS, {"key_id": key_id, "since": since}).fetchall()
        return {int(row[0]): int(row[1]) for row in rows}

    def drop_calls(self, before: int) -> int:
        """Forget the counts before a minute (minutes since the epoch)."""
        return self._tx.query(delete(M).where(M.c.slot < before * SLOTS)).rowcount


def _agent(row: Any) -> Agent:
    return _agent_of(tuple(row))


@lru_cache(_ROWS)
def _agent_of(row: tuple[Any, ...]) -> Agent:
    values = list(row)
    values[5] = bool(values[5])
    return Agent(*values)


def _key(row: Any) -> ApiKey:
    return _key_of(tuple(row))


@lru_cache(_ROWS)
def _key_of(row: tuple[Any, ...]) -> ApiKey:
    values = list(row)
    values[6] = frozenset(Scope(scope) for scope in json.loads(values[6]))
    values[7] = _permissions(json.loads(values[7]))
    values[8] = tuple(json.loads(values[8]))
    return ApiKey(*values)


def _asker(row: Any) -> tuple[Agent | None, ApiKey | None]:
    agent, key = tuple(row)[: len(A.columns)], tuple(row)[len(A.columns) :]
    return _agent(agent), None if key[0] is None else _key(key)


_first_agent: Final = first(_agent)
_first_key: Final = first(_key)
_first_standing: Final = first(lambda row: (bool(row[0]), int(row[1]), int(row[2] or 0)))


def _first_asker(rows: list[Any]) -> tuple[Agent | None, ApiKey | None]:
    return _asker(rows[0]) if rows else (None, None)


def _permissions(document: list[Mapping[str, Any]] | None) -> tuple[Permission, ...] | None:
    if document is None:
        return None
    return tuple(
        Permission(
            item["target"],
            tuple(item["methods"]),
            tuple(item["paths"]),
            item.get("denied", False),
            tuple(item.get("profiles", ())),
        )
        for item in document
    )


def _key_row(key: ApiKey) -> dict[str, object]:
    permissions = key.permissions
    return {
        **{name: getattr(key, name) for name in K.columns.keys()},  # noqa: SIM118 - not a dict
        "scopes": json.dumps(sorted(key.scopes)),
        "permissions": json.dumps(
            None if permissions is None else [asdict(item) for item in permissions]
        ),
        "networks": json.dumps(list(key.networks)),
    }
