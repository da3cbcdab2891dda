"""Groups, delegations, accounts in channels, and preferences; who may vote is read from here."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.core.instant import Instant
from app.core.people import Delegation, Group, Identity
from app.core.principals import Person
from app.core.routing import Voter
from app.store.sql import Sql, table_of
from app.store.tables_notices import (
    DelegationRow,
    GroupRow,
    IdentityRow,
    MemberRow,
    OfferRow,
    PreferenceRow,
)
from app.store.unique import unique

if TYPE_CHECKING:
    from app.store.tx import Tx

G = table_of(GroupRow)
M = table_of(MemberRow)
D = table_of(DelegationRow)
I = table_of(IdentityRow)  # noqa: E741 - the initial of its table, like the others
O = table_of(OfferRow)  # noqa: E741 - likewise
P = table_of(PreferenceRow)

_GROUPS: Final = Sql(
    select(G.c.name).join(M, M.c.group_id == G.c.id).where(M.c.person_id == bindparam("person_id"))
)
_AWAY: Final = Sql(
    select(D).where(
        D.c.delegate_id == bindparam("person_id"),
        D.c.revoked_at.is_(None),
        D.c.ends_at > bindparam("began"),
    )
)
_ACCOUNT: Final = Sql(
    select(I).where(I.c.channel == bindparam("channel"), I.c.account == bindparam("account"))
)


class Groups:
    """The groups, delegations and accounts of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    # --- voters ---

    def voter(self, person: Person, action: str) -> Voter:
        """Return a person as voter on an action now: groups, and whom they stand in for."""
        given = {"person_id": person.id, "began": self._tx.began}
        found = self._tx.ask(_AWAY, given, _delegations)
        absent = tuple(
            Voter(away, self._names(away.id))
            for delegation in found
            if delegation.live(self._tx.now)
            and delegation.covers(action)
            and (away := self._tx.people.get(delegation.person_id)) is not None
        )
        return Voter(person, self._names(person.id), absent)

    def _names(self, person_id: str) -> frozenset[str]:
        return self._tx.ask(_GROUPS, {"person_id": person_id}, _names)

    # --- groups ---

    def all(self) -> list[Group]:
        """Return all groups by name, with their members' ids."""
        members: dict[str, list[str]] = {}
        for row in self._tx.query(select(M).order_by(M.c.person_id)):
            members.setdefault(row.group_id, []).append(row.person_id)
        return [
            Group(row.id, row.name, row.description, tuple(members.get(row.id, ())),
                  Instant(row.created_at))
            for row in self._tx.query(select(G).order_by(G.c.name))
        ]  # fmt: skip

    def get(self, group_id: str) -> Group | None:
        """Return a group, or None."""
        row = self._tx.query(select(G).where(G.c.id == group_id)).first()
        if row is None:
            return None
        members = self._tx.query(select(M.c.person_id).where(M.c.group_id == group_id))
        ids = tuple(sorted(str(member[0]) for member in members))
        return Group(row.id, row.name, row.description, ids, Instant(row.created_at))

    def put(self, group: Group) -> None:
        """Write a group and its members.

        :raises NameTaken: another group has the name.
        """
        values = {"name": group.name, "description": group.description}
        with unique("/name"):
            known = self._tx.query(update(G).where(G.c.id == group.id).values(**values)).rowcount
            if not known:
                made = {"id": group.id, "created_at": group.created_at}
                self._tx.query(insert(G).values(**made, **values))
        self._tx.query(delete(M).where(M.c.group_id == group.id))
        for person_id in group.members:
            self._tx.query(insert(M).values(group_id=group.id, person_id=person_id))

    def drop(self, group_id: str) -> None:
        """Remove a group."""
        self._tx.query(delete(M).where(M.c.group_id == group_id))
        self._tx.query(delete(G).where(G.c.id == group_id))

    # --- delegations ---

    def delegations(self, person_id: str | None = None) -> list[Delegation]:
        """Return the delegations by or to a person, or all, newest first."""
        statement = select(D).order_by(D.c.starts_at.desc(), D.c.id)
        if person_id is not None:
            own = or_(D.c.person_id == person_id, D.c.delegate_id == person_id)
            statement = statement.where(own)
        return [_delegation(row) for row in self._tx.query(statement)]

    def delegation(self, delegation_id: str) -> Delegation | None:
        """Return a delegation, or None."""
        row = self._tx.query(select(D).where(D.c.id == delegation_id)).first()
        return None if row is None else _delegation(row)

    def add_delegation(self, delegation: Delegation) -> None:
        """Add a delegation."""
        values = {name: getattr(delegation, name) for name in Delegation.__slots__}
        values["actions"] = json.dumps(delegation.actions)
        self._tx.query(insert(D).values(**values))

    def revoke_delegation(self, delegation_id: str) -> None:
        """End a delegation now."""
        self._tx.query(update(D).where(D.c.id == delegation_id).values(revoked_at=self._tx.now))

    # --- accounts ---

    def owner_of(self, channel: str, account: str) -> Identity | None:
        """Return whose account this is, or None."""
        row = self._tx.run(_ACCOUNT, {"channel": channel, "account": account}).fetchone()
        return None if row is None else _identity(row)

    def identities(self, person_ids: Sequence[str] | None = None) -> list[Identity]:
        """Return the accounts of some people, or of all."""
        statement = select(I).order_by(I.c.channel, I.c.account)
        if person_ids is not None:
            statement = statement.where(I.c.person_id.in_(person_ids))
        return [_identity(row) for row in self._tx.query(statement)]

    def identity(self, identity_id: str) -> Identity | None:
        """Return an account by its id, or None."""
        row = self._tx.query(select(I).where(I.c.id == identity_id)).first()
        return None if row is None else _identity(row)

    def add_identity(self, identity: Identity) -> None:
        """Add an account.

        :raises NameTaken: it is linked already.
        """
        values = {name: getattr(identity, name) for name in Identity.__slots__}
        with unique("/account"):
            self._tx.query(insert(I).values(**values))

    def drop_identity(self, identity_id: str) -> None:
        """Remove an account."""
        self._tx.query(delete(I).where(I.c.id == identity_id))

    def add_offer(
        self, sha256: str, channel: str, account: str, label: str, until: Instant
    ) -> None:
        """Keep the digest of a one-time link that links an account."""
        self._tx.query(delete(O).where(or_(
            O.c.expires_at <= self._tx.now,
            and_(O.c.channel == channel, O.c.account == account),
        )))  # fmt: skip
        self._tx.query(
            insert(O).values(sha256=sha256, channel=channel, account=account, label=label,
                             created_at=self._tx.now, expires_at=until)
        )  # fmt: skip

    def offer(self, sha256: str) -> tuple[str, str, str] | None:
        """Return channel, account and label of a live one-time link, or None."""
        live = select(O).where(O.c.sha256 == sha256, O.c.expires_at > self._tx.now)
        row = self._tx.query(live).first()
        return None if row is None else (row.channel, row.account, row.label)

    def take_offer(self, sha256: str) -> bool:
        """Use up a one-time link; False when it was used or is over."""
        live = and_(O.c.sha256 == sha256, O.c.expires_at > self._tx.now)
        return self._tx.query(delete(O).where(live)).rowcount == 1

    # --- preferences ---

    def preferences(self, person_ids: Sequence[str]) -> dict[tuple[str, str], dict[str, Any]]:
        """Return what people set, by person and channel."""
        rows = self._tx.query(select(P).where(P.c.person_id.in_(person_ids)))
        return {(row.person_id, row.channel): json.loads(row.document) for row in rows}

    def put_preference(self, person_id: str, channel: str, document: dict[str, Any]) -> None:
        """Keep what a person set for a channel."""
        maker = sqlite.insert if self._tx.engine == "sqlite" else postgresql.insert
        text = json.dumps(document)
        statement = maker(P).values(person_id=person_id, channel=channel, document=text)
        self._tx.query(
            statement.on_conflict_do_update(
                index_elements=["person_id", "channel"], set_={"document": text}
            )
        )


def _names(rows: list[Any]) -> frozenset[str]:
    return frozenset(str(row[0]) for row in rows)


def _delegations(rows: list[Any]) -> tuple[Delegation, ...]:
    return tuple(map(_delegation, rows))


def _delegation(row: Sequence[Any]) -> Delegation:
    values = list(row)
    values[5] = tuple(json.loads(values[5]))
    return Delegation(*values)


def _identity(row: Sequence[Any]) -> Identity:
    return Identity(*row)
