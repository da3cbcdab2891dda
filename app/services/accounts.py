"""Accounts in channels, groups, delegations and preferences: who is who, and who stands in."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from app.clock import Ids, SystemClock
from app.core.audit import Actor
from app.core.checks import all_of
from app.core.conditions.glob import any_of, plain_glob
from app.core.errors import (
    AssentryError,
    BadCredentials,
    InvalidField,
    InvalidPolicy,
    LinkUsed,
    NotFound,
    Unauthenticated,
)
from app.core.instant import Instant, to_datetime
from app.core.json_types import JsonValue
from app.core.people import Delegation, Group, Identity
from app.core.preferences import read_preference
from app.core.principals import Caller, Person, Scope
from app.services.access import require
from app.services.confirming import WRONG, confirmed, prove, proven, settled, signed_in
from app.services.notices import Notices
from app.services.refusals import Refusals
from app.store.engine import Store
from app.store.tx import Tx

GROUP_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
CHANNEL: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
MAX_MEMBERS: Final = 1000
MAX_AWAY: Final = 366 * 86_400
_MAX_TEXT: Final = 200
_MAX_GLOBS: Final = 32
_MICROS: Final = 1_000_000
_TITLE: Final = "An account was linked to you; whoever uses it decides in your name"
_STAND_IN: Final = "Somebody was given your place, and decides in your name"


@dataclass(frozen=True, slots=True)
class Accounts:
    """What is known of people besides their sign-in."""

    store: Store
    ids: Ids
    clock: SystemClock
    notices: Notices
    refusals: Refusals = field(default_factory=Refusals)

    # --- accounts in channels ---

    async def identities(self, caller: Caller) -> list[Identity]:
        """Return all accounts for an administrator, otherwise one's own."""
        person = _person(caller)
        only = None if caller.may(Scope.ADMIN) else [person.id]
        return await self.store.read(lambda tx: tx.groups.identities(only))

    async def link(
        self, caller: Caller, person_id: str, channel: str, account: str, label: str = "",
        *, password: str = "",
    ) -> Identity:  # fmt: skip
        """Link an account to a person (administrators who may decide, by their password).

        Whoever uses the account decides as the person, who is told wherever else they can be
        reached.

        :raises PasswordRequired: there is none.
        :raises BadCredentials: the password is wrong.
        :raises TooManySignIns: it was wrong too often; wait.
        :raises NameTaken: the account is linked already.
        """
        require(caller, Scope.ADMIN)
        require(caller, Scope.REQUEST_DECIDE)
        if not CHANNEL.fullmatch(channel):
            message = "a channel is its name, such as slack"
            raise InvalidField(message, pointer="/channel")
        _check_text(account, "/account", empty=False)
        _check_text(label, "/label")
        made = self._identity(channel, account, person_id, label, caller.actor)
        await prove(self.store, caller, password, "identity")
        await self.store.write(lambda tx: self._link(tx, caller, made))
        return made

    def _link(self, tx: Tx, caller: Caller, made: Identity) -> None:
        proven(tx, caller)
        person = _link(tx, caller.actor, made)
        if not caller.local:
            apart = (made.channel, made.account)
            self.notices.tell(tx, person, _TITLE, " ".join(apart), apart=apart)

    async def offered(self, secret: str) -> tuple[str, str, str]:
        """Return channel, account and label that a one-time link would link.

        :raises LinkUsed: it was used, or its time is over.
        """
        found = await self.store.read(lambda tx: tx.groups.offer(_sha(secret)))
        if found is None:
            raise LinkUsed
        return found

    async def accept(self, caller: Caller, secret: str, password: str) -> Identity:
        """Link the account of a one-time link to the person who is signed in (PPL-2).

        Their password is asked for, since a link may come from somebody else who wants their
        vote; and they are told wherever else they can be reached.

        :raises BadCredentials: the password is wrong.
        :raises TooManySignIns: it was wrong too often; wait.
        :raises LinkUsed: it was used, or its time is over.
        :raises NameTaken: the account was linked meanwhile.
        """
        person = signed_in(caller)
        try:
            await self.offered(secret)
            if not await confirmed(self.store, person, password):
                raise BadCredentials(WRONG, pointer="/password")
            return await self.store.write(lambda tx: self._accept(tx, caller.actor, person, secret))
        except AssentryError as error:
            subject = f"person:{person.id}"
            await self.refusals.note(
                self.store, "identity.link_refused", subject,
                {"code": error.code, "person": person.id}, caller.actor,
            )  # fmt: skip
            raise

    def _accept(self, tx: Tx, actor: Actor, person: Person, secret: str) -> Identity:
        if settled(tx, person) is None:
            raise BadCredentials(WRONG, pointer="/password")
        found = tx.groups.offer(_sha(secret))
        if found is None or not tx.groups.take_offer(_sha(secret)):
            raise LinkUsed
        channel, account, label = found
        made = self._identity(channel, account, person.id, label, actor)
        _link(tx, actor, made)
        self.notices.tell(tx, person, _TITLE, f"{channel} {account}", apart=(channel, account))
        return made

    def _identity(
        self, channel: str, account: str, person_id: str, label: str, actor: Actor
    ) -> Identity:
        now = self.clock.now()
        return Identity(
            self.ids.new("idn"), channel, account, person_id, label, now, actor.reference
        )

    async def unlink(self, caller: Caller, identity_id: str) -> None:
        """Unlink an account: one's own after signing in, or anybody's for an administrator."""
        admin = caller.may(Scope.ADMIN)
        person = _person(caller) if admin else signed_in(caller)
        await self.store.write(
            lambda tx: _unlink(tx, caller.actor, identity_id, None if admin else person.id)
        )

    # --- groups ---

    async def groups(self, caller: Caller) -> list[Group]:
        """Return all groups by name."""
        require(caller, Scope.REQUEST_READ)
        _person(caller)
        return await self.store.read(lambda tx: tx.groups.all())

    async def put_group(
        self, caller: Caller, group_id: str | None, name: str, description: str,
        members: Sequence[str],
    ) -> Group:  # fmt: skip
        """Add a group, or replace one with its members.

        :raises NameTaken: another group has the name.
        """
        require(caller, Scope.ADMIN)
        all_of(
            lambda: _check_group(name, members), lambda: _check_text(description, "/description")
        )
        made = Group(group_id or self.ids.new("grp"), name, description,
                     tuple(sorted(set(members))), self.clock.now())  # fmt: skip
        return await self.store.write(
            lambda tx: _put_group(tx, caller.actor, made, new=group_id is None)
        )

    async def drop_group(self, caller: Caller, group_id: str) -> None:
        """Remove a group; rules that name it find nobody in it."""
        require(caller, Scope.ADMIN)
        await self.store.write(lambda tx: _drop_group(tx, caller.actor, group_id))

    # --- delegations ---

    async def delegations(self, caller: Caller) -> list[Delegation]:
        """Return all delegations for an administrator, otherwise those one is part of."""
        person = _person(caller)
        only = None if caller.may(Scope.ADMIN) else person.id
        return await self.store.read(lambda tx: tx.groups.delegations(only))

    async def delegate(
        self,
        caller: Caller,
        *,
        delegate_id: str,
        starts_at: Instant,
        ends_at: Instant,
        actions: Sequence[str] = (),
        note: str = "",
        person_id: str | None = None,
        password: str = "",
    ) -> Delegation:
        """Let somebody take a place for a time: one's own, or anybody's for an administrator.

        It takes the password of who does it, and tells the person who is away (T15, T23).

        :raises InvalidField: the time or the scope is not one, or it is one's own place.
        :raises PasswordRequired: there is no password.
        :raises BadCredentials: it is wrong.
        """
        person = signed_in(caller)
        away = person_id or person.id
        if away != person.id:
            require(caller, Scope.ADMIN)
        all_of(
            lambda: _check_delegate(away, delegate_id),
            lambda: _check_time(starts_at, ends_at, self.clock.now()),
            lambda: _check_globs(actions),
            lambda: _check_text(note, "/note"),
        )
        made = Delegation(
            self.ids.new("dlg"), away, delegate_id, starts_at, ends_at, tuple(actions), note,
            self.clock.now(), caller.actor.reference,
        )  # fmt: skip
        await prove(self.store, caller, password, "delegation")
        await self.store.write(lambda tx: self._delegate(tx, caller, made))
        return made

    def _delegate(self, tx: Tx, caller: Caller, made: Delegation) -> None:
        proven(tx, caller)
        away, delegate = _delegate(tx, caller.actor, made)
        if not caller.local:
            until = to_datetime(made.ends_at).strftime("%Y-%m-%d %H:%M UTC")
            self.notices.tell(tx, away, _STAND_IN, f"{delegate.name}, until {until}")

    async def revoke_delegation(self, caller: Caller, delegation_id: str) -> None:
        """End a delegation that one is part of after signing in, or any for an administrator."""
        admin = caller.may(Scope.ADMIN)
        person = _person(caller) if admin else signed_in(caller)
        await self.store.write(
            lambda tx: _revoke(tx, caller.actor, delegation_id, None if admin else person.id)
        )

    # --- preferences ---

    async def preferences(self, caller: Caller) -> dict[str, dict[str, Any]]:
        """Return what one set, by channel."""
        person = _person(caller)
        found = await self.store.read(lambda tx: tx.groups.preferences([person.id]))
        return {channel: document for (_, channel), document in found.items()}

    async def prefer(self, caller: Caller, channel: str, document: dict[str, Any]) -> None:
        """Set how one is told in a channel, after signing in or with an administrator's key.

        :raises InvalidField: with the pointer of what is wrong.
        """
        person = _person(caller) if caller.may(Scope.ADMIN) else signed_in(caller)
        if not CHANNEL.fullmatch(channel):
            message = "a channel is its name, such as slack"
            raise InvalidField(message, pointer="/channel")
        read_preference(document)
        await self.store.write(
            lambda tx: _prefer(tx, caller.actor, person.id, channel, document), order=person.id
        )


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _person(caller: Caller) -> Person:
    if caller.person is None:
        message = "this is for people"
        raise Unauthenticated(message)
    return caller.person


def _check_text(text: str, pointer: str, *, empty: bool = True) -> None:
    if len(text) > _MAX_TEXT or (text and not text.isprintable()) or not (text or empty):
        message = f"a printable text of at most {_MAX_TEXT} characters"
        raise InvalidField(message, pointer=pointer)


def _check_globs(globs: Sequence[str]) -> None:
    if len(globs) > _MAX_GLOBS:
        message = f"at most {_MAX_GLOBS} globs"
        raise InvalidField(message, pointer="/actions")
    try:
        if globs:
            any_of(tuple(globs), plain_glob, "/actions")
    except InvalidPolicy as error:
        raise InvalidField(error.detail, pointer=error.pointer) from error


def _check_group(name: str, members: Sequence[str]) -> None:
    if not GROUP_NAME.fullmatch(name):
        message = "a name is up to 64 of a-z 0-9 . _ -, and begins with a letter or digit"
        raise InvalidField(message, pointer="/name")
    if len(members) > MAX_MEMBERS:
        message = f"a group has at most {MAX_MEMBERS} members"
        raise InvalidField(message, pointer="/members")


def _check_delegate(person_id: str, delegate_id: str) -> None:
    if delegate_id == person_id:
        message = "nobody stands in for themselves"
        raise InvalidField(message, pointer="/delegate_id")


def _check_time(starts_at: Instant, ends_at: Instant, now: Instant) -> None:
    if not starts_at < ends_at or ends_at <= now:
        message = "it ends after it begins, and in the future"
        raise InvalidField(message, pointer="/ends_at")
    if ends_at - starts_at > MAX_AWAY * _MICROS:
        message = "it lasts at most a year"
        raise InvalidField(message, pointer="/ends_at")


def _existing(tx: Tx, person_id: str, pointer: str) -> Person:
    person = tx.people.get(person_id)
    if person is None:
        message = "there is no such person"
        raise NotFound(message, pointer=pointer)
    return person


def _prefer(tx: Tx, actor: Actor, person_id: str, channel: str, document: dict[str, Any]) -> None:
    tx.groups.put_preference(person_id, channel, document)
    details: dict[str, JsonValue] = {"channel": channel, **document}
    tx.note("preference.set", actor, f"person:{person_id}", details)


def _link(tx: Tx, actor: Actor, made: Identity) -> Person:
    person = _existing(tx, made.person_id, "/person_id")
    tx.groups.add_identity(made)
    details: dict[str, JsonValue] = {"channel": made.channel, "account": made.account}
    tx.note("identity.linked", actor, f"person:{made.person_id}", details)
    return person


def _unlink(tx: Tx, actor: Actor, identity_id: str, only: str | None) -> None:
    found = tx.groups.identity(identity_id)
    if found is None or only not in (None, found.person_id):
        message = "there is no such account"
        raise NotFound(message)
    tx.groups.drop_identity(identity_id)
    details: dict[str, JsonValue] = {"channel": found.channel, "account": found.account}
    tx.note("identity.unlinked", actor, f"person:{found.person_id}", details)


def _put_group(tx: Tx, actor: Actor, group: Group, *, new: bool) -> Group:
    before = tx.groups.get(group.id)
    if before is None and not new:
        message = "there is no such group"
        raise NotFound(message)
    for at, member in enumerate(group.members):
        _existing(tx, member, f"/members/{at}")
    made = replace(group, created_at=before.created_at if before else group.created_at)
    tx.groups.put(made)
    details: dict[str, JsonValue] = {"name": made.name, "members": list(made.members)}
    tx.note(f"group.{'created' if new else 'updated'}", actor, f"group:{made.id}", details)
    return made


def _drop_group(tx: Tx, actor: Actor, group_id: str) -> None:
    found = tx.groups.get(group_id)
    if found is None:
        message = "there is no such group"
        raise NotFound(message)
    tx.groups.drop(group_id)
    tx.note("group.deleted", actor, f"group:{group_id}", {"name": found.name})


def _delegate(tx: Tx, actor: Actor, made: Delegation) -> tuple[Person, Person]:
    """Write it; return who is away and who stands in."""
    away = _existing(tx, made.person_id, "/person_id")
    delegate = _existing(tx, made.delegate_id, "/delegate_id")
    tx.groups.add_delegation(made)
    details: dict[str, JsonValue] = {
        "delegate": made.delegate_id, "from": made.starts_at, "to": made.ends_at,
        "actions": list(made.actions),
    }  # fmt: skip
    tx.note("delegation.created", actor, f"person:{made.person_id}", details)
    return away, delegate


def _revoke(tx: Tx, actor: Actor, delegation_id: str, only: str | None) -> None:
    found = tx.groups.delegation(delegation_id)
    if found is None or only not in (None, found.person_id, found.delegate_id):
        message = "there is no such delegation"
        raise NotFound(message)
    tx.groups.revoke_delegation(delegation_id)
    tx.note("delegation.revoked", actor, f"person:{found.person_id}", {"id": delegation_id})
