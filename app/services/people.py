"""People: the set-up, accounts, sign-in and sessions (PPL-1, PPL-3)."""

import hashlib
import re
import secrets
from dataclasses import dataclass, replace
from typing import Final

from app.clock import Ids, SystemClock
from app.core.audit import NOBODY, Actor
from app.core.checks import all_of
from app.core.errors import (
    BadCredentials,
    Forbidden,
    InvalidField,
    LastAdministrator,
    NameTaken,
    NotFound,
    Unauthenticated,
)
from app.core.instant import plus
from app.core.json_types import JsonValue
from app.core.principals import ROLE_SCOPES, Caller, Person, Role, Scope, Session
from app.services.access import require
from app.services.confirming import confirmed, prove, proven, settled
from app.services.judging import OWNER_MAY_DECIDE
from app.services.passwords import check_strength, hash_password, matches, turn
from app.services.setup import add_first, check_token, issue, set_owner, set_up
from app.services.throttling import admit, succeeded
from app.settings import Settings
from app.store.engine import Store
from app.store.tx import Tx

EMAIL: Final = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,190}")
"""What is taken for an e-mail address."""

_MAX_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class People:
    """The people of the installation."""

    store: Store
    ids: Ids
    clock: SystemClock
    settings: Settings

    # --- first start ---

    async def setup_open(self) -> bool:
        """Whether nobody has set the installation up yet."""
        return await self.store.read(lambda tx: tx.people.count()) == 0

    async def issue_setup_token(self) -> str | None:
        """Return a new one-time token, to be printed once; None when somebody exists.

        Only its SHA-256 is kept, and it replaces one that was issued before.
        """
        token = secrets.token_urlsafe(32)
        issued = await self.store.write(lambda tx: issue(tx, _sha(token)))
        return token if issued else None

    async def check_setup(self, token: str) -> None:
        """Refuse a set-up link before anything is typed.

        :raises SetupClosed: somebody exists.
        :raises SetupLinkReplaced: its token is not the one that was printed last.
        """
        await self.store.read(lambda tx: check_token(tx, _sha(token)))

    async def set_up(
        self, token: str, name: str, email: str, password: str, *, works_alone: bool
    ) -> tuple[Person, str]:
        """Make the first administrator, sign them in, and close the set-up for good.

        :param works_alone: owners of agents may decide their requests.
        :returns: the person and the session's token.
        :raises SetupClosed: somebody exists.
        :raises SetupLinkReplaced: the token is not the one that was printed last.
        """
        await self.check_setup(token)
        person = await self._new_person(name, email, Role.ADMIN, password)
        session, secret = self._session(person, "", "set-up")
        await self.store.write(
            lambda tx: set_up(tx, _sha(token), person, session, works_alone=works_alone)
        )
        return person, secret

    async def add_first(self, name: str, email: str, password: str) -> Person:
        """Make the first administrator from the command line.

        :raises SetupClosed: somebody exists.
        """
        person = await self._new_person(name, email, Role.ADMIN, password)
        return await self.store.write(lambda tx: add_first(tx, person))

    # --- sign-in ---

    async def sign_in(
        self, email: str, password: str, remote_ip: str, user_agent: str
    ) -> tuple[Session, str]:
        """Return a new session and its token.

        :raises BadCredentials: whatever was wrong, after the same work.
        :raises TooManySignIns: too many failures for this account or address; wait.
        """
        email = email.strip().lower()
        with turn():
            # Counted as failed until it is known better: attempts side by side gain nothing.
            await self.store.write(lambda tx: admit(tx, email, remote_ip))
            person = await self._known(email)
            good = await matches(person.password if person else None, password)
        if person is not None and good:
            session, secret = self._session(person, remote_ip, user_agent)
            if await self.store.write(lambda tx: _signed_in(tx, person, session), order=person.id):
                return session, secret
        await self.store.write(lambda tx: _failed(tx, email, remote_ip))
        raise BadCredentials

    async def _known(self, email: str) -> Person | None:
        if not EMAIL.fullmatch(email):
            return None
        return await self.store.read(lambda tx: tx.people.by_email(email))

    def _session(self, person: Person, remote_ip: str, user_agent: str) -> tuple[Session, str]:
        secret, now = secrets.token_urlsafe(32), self.clock.now()
        session = Session(
            sha256=_sha(secret),
            person_id=person.id,
            form_token=secrets.token_urlsafe(32),
            created_at=now,
            seen_at=now,
            expires_at=plus(now, self.settings.session_seconds),
            remote_ip=remote_ip,
            user_agent="".join(char for char in user_agent if char.isprintable())[:200],
        )
        return session, secret

    async def sign_out(self, caller: Caller) -> None:
        """End the caller's session."""
        session = caller.session
        if session is None:
            raise Unauthenticated
        await self.store.write(lambda tx: _sign_out(tx, caller.actor, session))

    async def sessions(self, caller: Caller) -> "list[Session]":
        """Return the caller's own sessions, newest first."""
        person = _self(caller)
        return await self.store.read(lambda tx: tx.people.sessions(person.id))

    async def revoke_sessions(self, caller: Caller, person_id: str) -> int:
        """End all sessions of a person: one's own, or anybody's for an administrator."""
        if caller.session is None or caller.session.person_id != person_id:
            require(caller, Scope.ADMIN)
        return await self.store.write(lambda tx: _revoke_sessions(tx, caller.actor, person_id))

    async def change_password(
        self, caller: Caller, old: str, new: str, *, end_keys: bool = False
    ) -> None:
        """Replace the caller's password and end their other sessions.

        :param end_keys: end their keys, too: somebody else may have made one.

        :raises BadCredentials: the old password is wrong.
        :raises TooManySignIns: it was wrong too often; wait.
        :raises WeakPassword: the new one is weak.
        """
        person = _self(caller)
        if caller.session is None:
            message = "a password is changed after signing in, not with a key"
            raise Forbidden(message)
        check_strength(new, person.email, "/new")
        good = await confirmed(self.store, person, old)
        hashed = await hash_password(new) if good else ""
        done = good and await self.store.write(
            lambda tx: _change_password(tx, caller, person, hashed, end_keys=end_keys),
            order=person.id,
        )
        if not done:
            await self.store.write(lambda tx: _refused(tx, person))
            raise BadCredentials(pointer="/old")

    # --- administration ---

    async def create(
        self,
        caller: Caller,
        *,
        name: str,
        email: str,
        role: Role,
        password: str,
        own_password: str = "",
    ) -> Person:
        """Add a person.

        :param own_password: the caller's, where they are signed in: who knows another account's
            first password could vote by it (T31).
        :raises NameTaken: the address has an account.
        :raises PasswordRequired: there is no password of the caller's.
        :raises BadCredentials: it is wrong.
        """
        require(caller, Scope.ADMIN)
        _check_role(caller, role)
        person = await self._new_person(name, email, role, password)
        if caller.session is not None:
            await prove(self.store, caller, own_password, "person", "/own_password")
        return await self.store.write(lambda tx: _add(tx, caller, person))

    async def update(
        self,
        caller: Caller,
        person_id: str,
        *,
        name: str | None = None,
        role: Role | None = None,
        active: bool | None = None,
    ) -> Person:
        """Change a person; who is switched off loses sessions and keys at once.

        :raises LastAdministrator: nobody else could administer.
        """
        require(caller, Scope.ADMIN)
        changes: dict[str, object] = {
            key: value
            for key, value in (("name", name), ("role", role), ("active", active))
            if value is not None
        }
        if name is not None:
            _check_name(name)
        if role is not None:
            _check_role(caller, role)
        return await self.store.write(
            lambda tx: _update(tx, caller.actor, person_id, changes), order=person_id
        )

    async def list(self, caller: Caller) -> "list[Person]":
        """Return all people by name."""
        require(caller, Scope.REQUEST_READ)
        _self(caller)
        return await self.store.read(lambda tx: tx.people.all())

    async def get(self, caller: Caller, person_id: str) -> Person:
        """Return a person.

        :raises NotFound: there is none.
        """
        require(caller, Scope.REQUEST_READ)
        _self(caller)
        return await self.store.read(lambda tx: _existing(tx, person_id))

    async def owner_may_decide(self) -> bool:
        """Whether the installation lets owners decide their own agents' requests."""
        return await self.store.read(lambda tx: tx.people.setting(OWNER_MAY_DECIDE) == "true")

    async def set_owner_may_decide(self, caller: Caller, allowed: bool) -> None:  # noqa: FBT001
        """Let owners decide their own agents' requests, or no longer."""
        require(caller, Scope.ADMIN)
        require(caller, Scope.REQUEST_DECIDE)
        await self.store.write(lambda tx: set_owner(tx, caller.actor, allowed=allowed))

    async def _new_person(self, name: str, email: str, role: Role, password: str) -> Person:
        email = email.strip().lower()
        all_of(
            lambda: _check_name(name),
            lambda: _check_email(email),
            lambda: check_strength(password, email),
        )
        hashed = await hash_password(password)
        now = self.clock.now()
        return Person(self.ids.new("per"), name.strip(), email, role, hashed, True, now)  # noqa: FBT003


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _self(caller: Caller) -> Person:
    if caller.person is None:
        message = "this is for people"
        raise Unauthenticated(message)
    return caller.person


def _check_role(caller: Caller, role: Role) -> None:
    """Refuse to make anybody who may more than the caller itself (T23)."""
    if not ROLE_SCOPES[role] <= caller.scopes:
        message = f"this key may not do all that the role {role} may"
        raise Forbidden(message)


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        message = f"a name has 1 to {_MAX_NAME} printable characters"
        raise InvalidField(message, pointer="/name")


def _check_email(email: str) -> None:
    if not EMAIL.fullmatch(email):
        message = "this is not an e-mail address"
        raise InvalidField(message, pointer="/email")


def _existing(tx: Tx, person_id: str) -> Person:
    person = tx.people.get(person_id)
    if person is None:
        message = "there is no such person"
        raise NotFound(message)
    return person


def _failed(tx: Tx, email: str, remote_ip: str) -> None:
    """Record it; what is no address is left out, for it may be a password in the wrong field."""
    shown = email if EMAIL.fullmatch(email) else ""
    details: dict[str, JsonValue] = {"email": shown, "from": remote_ip}
    tx.note("person.sign_in_failed", NOBODY, "person:-", details)


def _signed_in(tx: Tx, seen: Person, session: Session) -> bool:
    """Add the session, unless the person was switched off or got another password meanwhile."""
    person = tx.people.lock(seen.id)
    if person is None or not person.active or person.password != seen.password:
        return False
    succeeded(tx, person.email, session.remote_ip)
    tx.people.add_session(session)
    tx.people.put(replace(person, last_seen_at=tx.now))
    details: dict[str, JsonValue] = {"from": session.remote_ip}
    tx.note("person.signed_in", person.actor, f"person:{person.id}", details)
    return True


def _sign_out(tx: Tx, actor: Actor, session: Session) -> None:
    tx.people.drop_session(session.sha256)
    tx.note("person.signed_out", actor, f"person:{session.person_id}")


def _revoke_sessions(tx: Tx, actor: Actor, person_id: str) -> int:
    _existing(tx, person_id)
    ended = tx.people.drop_sessions(person_id)
    details: dict[str, JsonValue] = {"ended": ended}
    tx.note("person.sessions_revoked", actor, f"person:{person_id}", details)
    return ended


def _refused(tx: Tx, person: Person) -> None:
    tx.note("person.password_change_failed", person.actor, f"person:{person.id}")


def _change_password(tx: Tx, caller: Caller, seen: Person, hashed: str, *, end_keys: bool) -> bool:
    person = settled(tx, seen)
    if person is None:
        return False
    tx.people.put(replace(person, password=hashed))
    tx.people.drop_sessions(person.id, None if caller.session is None else caller.session.sha256)
    revoked = tx.agents.revoke_keys(person.id, tx.now) if end_keys else 0
    details: dict[str, JsonValue] = {"keys_revoked": revoked}
    tx.note("person.password_changed", caller.actor, f"person:{person.id}", details)
    return True


def _add(tx: Tx, caller: Caller, person: Person) -> Person:
    if caller.session is not None:
        proven(tx, caller)
    if tx.people.by_email(person.email) is not None:
        message = "this address has an account"
        raise NameTaken(message, pointer="/email")
    tx.people.add(person)
    details: dict[str, JsonValue] = {"email": person.email, "role": person.role}
    tx.note("person.created", caller.actor, f"person:{person.id}", details)
    return person


def _update(tx: Tx, actor: Actor, person_id: str, changes: dict[str, object]) -> Person:
    administrators = tx.people.administrators()
    before = tx.people.lock(person_id) or _existing(tx, person_id)
    after = replace(before, **changes)
    stays = after.active and after.role is Role.ADMIN
    if not stays and [person.id for person in administrators] == [person_id]:
        raise LastAdministrator
    tx.people.put(after)
    details: dict[str, JsonValue] = {
        "name": after.name,
        "role": after.role,
        "active": after.active,
    }
    if not after.active:
        details["sessions_ended"] = tx.people.drop_sessions(person_id)
        details["keys_revoked"] = tx.agents.revoke_keys(person_id, tx.now)
    tx.note("person.updated", actor, f"person:{person_id}", details)
    return after
