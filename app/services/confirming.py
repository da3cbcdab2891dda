"""Confirming: who is signed in proves by their password that it is still them (T23, T31).

What lets somebody decide in a person's name for longer than a session lasts takes such a proof: an
account that is linked or made, a key that votes, a place that is given away. Otherwise a browser
that was left alone, or a session that was stolen, would become a vote that nobody takes back.
"""

from typing import Final

from app.core.errors import BadCredentials, Forbidden, PasswordRequired, Unauthenticated
from app.core.principals import Caller, Person
from app.services.passwords import matches, turn
from app.services.throttling import admit_proof, proof_subject
from app.store.engine import Store
from app.store.tx import Tx

WRONG: Final = "This is not your password."
"""What is said of a password that is not the one."""


def signed_in(caller: Caller) -> Person:
    """Return who is signed in: an account or a place is not given away with a key (T23).

    :raises Unauthenticated: it is no person.
    :raises Forbidden: it is a person's key.
    """
    if caller.person is None:
        message = "this is for people"
        raise Unauthenticated(message)
    if caller.session is None and not caller.local:
        message = "sign in to do that; a key is not enough"
        raise Forbidden(message)
    return caller.person


async def prove(
    store: Store, caller: Caller, password: str, purpose: str, pointer: str = "/password"
) -> None:
    """Let who is signed in prove that it is them; what it is for uses it with ``proven``.

    :param pointer: where the password stands in what was sent.
    :raises Unauthenticated: it is no person.
    :raises Forbidden: it is a key.
    :raises PasswordRequired: there is none.
    :raises BadCredentials: it is wrong.
    :raises TooManySignIns: it was wrong too often; wait.
    """
    person = signed_in(caller)
    if caller.local:
        return
    if not password:
        raise PasswordRequired(pointer=pointer)
    if not await confirmed(store, person, password):
        await store.write(lambda tx: _refused(tx, person, purpose))
        raise BadCredentials(WRONG, pointer=pointer)


def proven(tx: Tx, caller: Caller) -> None:
    """Use a proof.

    :raises BadCredentials: the person got another password since, or was switched off.
    """
    if caller.local:
        return
    if caller.person is None or settled(tx, caller.person) is None:
        raise BadCredentials(WRONG, pointer="/password")


async def confirmed(store: Store, person: Person, password: str) -> bool:
    """Whether this is the person's password; it counts as a failed proof until ``settled``.

    :raises TooManySignIns: there were too many; wait.
    """
    with turn():
        await store.write(lambda tx: admit_proof(tx, person.email))
        return await matches(person.password, password)


def settled(tx: Tx, seen: Person) -> Person | None:
    """Return the person, locked, and forget their failures; None when the proof is out of date."""
    person = tx.people.lock(seen.id)
    if person is None or not person.active or person.password != seen.password:
        return None
    tx.people.clear_failures(proof_subject(person.email))
    return person


def _refused(tx: Tx, person: Person, purpose: str) -> None:
    tx.note("person.confirmation_failed", person.actor, f"person:{person.id}", {"purpose": purpose})
