"""A new password for somebody who lost theirs, from whoever runs the installation (PPL-1)."""

from dataclasses import replace

from app.core.audit import SYSTEM
from app.core.errors import NotFound
from app.services.passwords import check_strength, hash_password
from app.store.engine import Store
from app.store.tx import Tx


async def recover(store: Store, email: str, password: str) -> int:
    """Give an account another password; return how many sessions ended by it.

    It is for the command line of the machine alone: who holds the database and the master key is
    asked for nothing more. The record says that it was done.

    :raises NotFound: nobody has the address.
    :raises WeakPassword: the password is weak.
    """
    email = email.strip().lower()
    check_strength(password, email)
    hashed = await hash_password(password)
    return await store.write(lambda tx: _recover(tx, email, hashed))


def _recover(tx: Tx, email: str, hashed: str) -> int:
    person = tx.people.by_email(email)
    if person is None:
        message = f"nobody here has the address {email!r}"
        raise NotFound(message)
    tx.people.put(replace(person, password=hashed))
    ended = tx.people.drop_sessions(person.id)
    tx.note("person.password_reset", SYSTEM, f"person:{person.id}", {"sessions_ended": ended})
    return ended
