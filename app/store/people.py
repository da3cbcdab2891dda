"""People, their sessions, failed sign-ins and the installation's own facts."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from app.core.instant import Instant
from app.core.principals import Person, Role, Session
from app.store.sql import Sql, first, table_of
from app.store.tables_directory import PersonRow, SessionRow, SettingRow, SignInRow
from app.store.unique import unique

if TYPE_CHECKING:
    from app.store.tx import Tx

P = table_of(PersonRow)
S = table_of(SessionRow)
F = table_of(SignInRow)
G = table_of(SettingRow)

_GET = Sql(select(P).where(P.c.id == bindparam("id")))
_SETTING = Sql(select(G.c.value).where(G.c.name == bindparam("name")))
_FACTS = Sql(
    select(G.c.name, G.c.value).where(
        G.c.name.in_([literal_column("'owner_may_decide'"), literal_column("'policy_revision'")])
    )
)
_SHARE = Sql(select(P).where(P.c.id == bindparam("id")), suffix={"postgresql": " FOR SHARE"})
_SESSION = Sql(select(S).where(S.c.sha256 == bindparam("sha256")))


class People:
    """The people of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def get(self, person_id: str) -> Person | None:
        """Return a person, or None."""
        return self._tx.ask(_GET, {"id": person_id}, _first_person)

    def hold(self, person_id: str) -> Person | None:
        """Return a person who cannot be changed until this transaction ends (threat T26)."""
        person = self._tx.ask(_SHARE, {"id": person_id}, _first_person)
        self._tx.tick()
        return person

    def lock(self, person_id: str) -> Person | None:
        """Return a person whom nobody else changes until this transaction ends, or None."""
        statement = select(P).where(P.c.id == person_id).with_for_update(key_share=True)
        row = self._tx.query(statement).first()
        return None if row is None else _person(row)

    def administrators(self) -> list[Person]:
        """Return the active administrators, locked until this transaction ends."""
        statement = (
            select(P)
            .where(P.c.role == Role.ADMIN.value, P.c.active.is_(True))
            .order_by(P.c.id)
            .with_for_update(key_share=True)
        )
        return [_person(row) for row in self._tx.query(statement)]

    def by_email(self, email: str) -> Person | None:
        """Return the person with that (lower-case) address, or None."""
        row = self._tx.query(select(P).where(P.c.email == email)).first()
        return None if row is None else _person(row)

    def all(self) -> list[Person]:
        """Return all people by name."""
        return [_person(row) for row in self._tx.query(select(P).order_by(P.c.name, P.c.id))]

    def add(self, person: Person) -> None:
        """Add a person.

        :raises NameTaken: somebody else took the address meanwhile.
        """
        with unique("/email"):
            self._tx.query(insert(P).values(**asdict(person)))

    def put(self, person: Person) -> None:
        """Write the changed person, who must be locked."""
        self._tx.query(update(P).where(P.c.id == person.id).values(**asdict(person)))

    def count(self) -> int:
        """Return how many people there are."""
        return int(self._tx.query(select(func.count()).select_from(P)).scalar_one())

    # --- sessions ---

    def session(self, sha256: str) -> Session | None:
        """Return a session by the digest of its token, or None."""
        row = self._tx.run(_SESSION, {"sha256": sha256}).fetchone()
        return None if row is None else Session(*row)

    def sessions(self, person_id: str) -> list[Session]:
        """Return a person's sessions, newest first."""
        statement = select(S).where(S.c.person_id == person_id).order_by(S.c.created_at.desc())
        return [Session(*row) for row in self._tx.query(statement)]

    def add_session(self, session: Session) -> None:
        """Add a session."""
        self._tx.query(insert(S).values(**asdict(session)))

    def touch_session(self, sha256: str, now: Instant) -> None:
        """Note that the session was used."""
        self._tx.query(update(S).where(S.c.sha256 == sha256).values(seen_at=now))

    def drop_session(self, sha256: str) -> None:
        """End one session."""
        self._tx.query(delete(S).where(S.c.sha256 == sha256))

    def drop_sessions(self, person_id: str, keep: str | None = None) -> int:
        """End all sessions of a person but the one to keep, and return how many there were."""
        statement = delete(S).where(S.c.person_id == person_id)
        if keep is not None:
            statement = statement.where(S.c.sha256 != keep)
        return self._tx.query(statement).rowcount

    def drop_old_sessions(self, now: Instant, seen_before: Instant) -> int:
        """Forget sessions that are over or idle."""
        over = (S.c.expires_at <= now) | (S.c.seen_at < seen_before)
        return self._tx.query(delete(S).where(over)).rowcount

    # --- failed sign-ins ---

    def failures(self, subject: str) -> tuple[int, Instant]:
        """Return how often sign-in failed for a subject, and when last.

        In a unit of work, nobody else counts until it ends.
        """
        row = self._tx.query(
            select(F.c.failures, F.c.last_at).where(F.c.subject == subject).with_for_update()
        ).first()
        return (0, Instant(0)) if row is None else (int(row[0]), Instant(row[1]))

    def add_failure(self, subject: str, now: Instant) -> None:
        """Count a failed sign-in."""
        maker = sqlite.insert if self._tx.engine == "sqlite" else postgresql.insert
        statement = maker(F).values(subject=subject, failures=1, last_at=now)
        self._tx.query(
            statement.on_conflict_do_update(
                index_elements=["subject"], set_={"failures": F.c.failures + 1, "last_at": now}
            )
        )

    def take_failure(self, subject: str) -> None:
        """Count one failed sign-in less."""
        self._tx.query(
            update(F)
            .where(F.c.subject == subject, F.c.failures > 0)
            .values(failures=F.c.failures - 1)
        )

    def clear_failures(self, subject: str) -> None:
        """Forget the failures of a subject."""
        self._tx.query(delete(F).where(F.c.subject == subject))

    def drop_old_failures(self, before: Instant) -> int:
        """Forget the failures of subjects that were quiet since."""
        return self._tx.query(delete(F).where(F.c.last_at < before)).rowcount

    # --- the installation ---

    def setting(self, name: str) -> str | None:
        """Return a fact of the installation, or None."""
        return self._tx.ask(_SETTING, {"name": name}, _first_text)

    def facts(self) -> Mapping[str, str]:
        """Return what a ballot needs: ``owner_may_decide`` and ``policy_revision``, where set."""
        return self._tx.ask(_FACTS, {}, _texts)

    def put_setting(self, name: str, value: str) -> None:
        """Write a fact of the installation."""
        maker = sqlite.insert if self._tx.engine == "sqlite" else postgresql.insert
        statement = maker(G).values(name=name, value=value)
        self._tx.query(
            statement.on_conflict_do_update(index_elements=["name"], set_={"value": value})
        )

    def claim_setting(self, name: str, value: str) -> bool:
        """Write a fact that can be written once; False when it was written before."""
        maker = sqlite.insert if self._tx.engine == "sqlite" else postgresql.insert
        statement = maker(G).values(name=name, value=value)
        written = self._tx.query(
            statement.on_conflict_do_nothing(index_elements=["name"]).returning(G.c.name)
        )
        return written.first() is not None

    def raise_setting(self, name: str) -> None:
        """Add one to a fact that is a number; it is 1 when there was none."""
        maker = sqlite.insert if self._tx.engine == "sqlite" else postgresql.insert
        statement = maker(G).values(name=name, value="1")
        raised = cast(cast(G.c.value, BigInteger) + 1, Text)
        self._tx.query(
            statement.on_conflict_do_update(index_elements=["name"], set_={"value": raised})
        )

    def drop_setting(self, name: str) -> bool:
        """Remove a fact; False when there was none."""
        return self._tx.query(delete(G).where(G.c.name == name)).rowcount == 1


def _person(row: Any) -> Person:
    values = list(row)
    values[3] = Role(values[3])
    values[5] = bool(values[5])
    return Person(*values)


_first_person: Final = first(_person)
_first_text: Final = first(lambda row: str(row[0]))


def _texts(rows: list[Any]) -> Mapping[str, str]:
    return {str(row[0]): str(row[1]) for row in rows}
