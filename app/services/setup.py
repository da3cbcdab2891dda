"""The first start: one token, one administrator, and the set-up closed for good (PPL-3)."""

import secrets
from typing import Final

from app.core.audit import Actor
from app.core.errors import Forbidden, SetupClosed
from app.core.json_types import JsonValue
from app.core.principals import Person, Session
from app.services.judging import OWNER_MAY_DECIDE
from app.store.tx import Tx

SETUP_TOKEN: Final = "setup_token"  # noqa: S105 - the name of a setting
SET_UP: Final = "set_up"
"""Name of the setting that says for good who set the installation up."""


class SetupLinkReplaced(Forbidden):
    """This set-up link is not the newest: open the last one that the server printed."""

    code = "setup_link_replaced"


def check_token(tx: Tx, sha256: str) -> None:
    """Refuse every token but the one that was printed last; only its digest is known.

    :raises SetupClosed: somebody exists.
    :raises SetupLinkReplaced: it is another one, or none was printed.
    """
    # Read before the count: a set-up that commits in between drops the token, and is seen by it.
    fits = secrets.compare_digest(tx.people.setting(SETUP_TOKEN) or "", sha256)
    if tx.people.count():
        raise SetupClosed
    if not fits:
        raise SetupLinkReplaced


def issue(tx: Tx, sha256: str) -> bool:
    """Keep the digest of a new token; False when somebody exists."""
    if tx.people.count():
        return False
    tx.people.put_setting(SETUP_TOKEN, sha256)
    return True


def set_up(tx: Tx, token: str, person: Person, session: Session, *, works_alone: bool) -> None:
    """Make the first administrator of whoever holds the token."""
    check_token(tx, token)
    add_first(tx, person)
    tx.people.add_session(session)
    if works_alone:
        set_owner(tx, person.actor, allowed=True)


def add_first(tx: Tx, person: Person) -> Person:
    """Add the first administrator.

    :raises SetupClosed: somebody exists.
    """
    # The claim holds for good, and of two at once only one gets it.
    if tx.people.count() or not tx.people.claim_setting(SET_UP, person.id):
        raise SetupClosed
    tx.people.add(person)
    tx.people.drop_setting(SETUP_TOKEN)
    details: dict[str, JsonValue] = {"email": person.email, "role": person.role}
    tx.note("installation.set_up", person.actor, f"person:{person.id}", details)
    return person


def set_owner(tx: Tx, actor: Actor, *, allowed: bool) -> None:
    """Say whether owners decide their own agents' requests."""
    tx.people.put_setting(OWNER_MAY_DECIDE, "true" if allowed else "false")
    details: dict[str, JsonValue] = {"allowed": allowed}
    tx.note("installation.owner_may_decide", actor, "installation:settings", details)
