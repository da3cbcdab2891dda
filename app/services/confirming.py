"""Confirming: who is signed in proves by their password that it is still them (T23, T31)."""

from app.core.principals import Person
from app.services.passwords import matches, turn
from app.services.throttling import account_subject, admit
from app.store.engine import Store
from app.store.tx import Tx


async def confirmed(store: Store, person: Person, password: str) -> bool:
    """Whether this is the person's password; it counts as a failed sign-in until ``settled``.

    :raises TooManySignIns: there were too many; wait.
    """
    account = account_subject(person.email)
    with turn():
        await store.write(lambda tx: admit(tx, account))
        return await matches(person.password, password)


def settled(tx: Tx, seen: Person) -> Person | None:
    """Return the person, locked, and forget their failures; None when the proof is out of date."""
    person = tx.people.lock(seen.id)
    if person is None or not person.active or person.password != seen.password:
        return None
    tx.people.clear_failures(account_subject(person.email))
    return person
