"""Throttling of sign-ins: by address, and by account at an address, with a growing delay (T31).

Failures elsewhere never keep somebody out: who guesses from many addresses finds that each of them
has a single guess before it must wait, and the person at their own address still has theirs. Who is
signed in and proves by the password that it is them is counted apart, for the same reason.
"""

import hashlib
import ipaddress
from typing import Final

from app.core.errors import TooManySignIns
from app.core.instant import SECOND, plus
from app.store.tx import Tx

FREE_FAILURES: Final = {"account": 5, "address": 20, "proof": 5}
"""Failures of a kind of subject before each further one must wait."""

CROWDED: Final = 20
"""Failures of an account, wherever from, after which each address has one before it must wait."""

MAX_WAIT: Final = {"account": 60, "address": 900, "proof": 60}
"""Longest wait in seconds."""

_IPV6_HOME: Final = 64
_STEPS: Final = 10


def account_subject(email: str, remote_ip: str) -> str:
    """Return the name under which failures of an account at an address are counted.

    The account need not exist.
    """
    return f"account:{_digest(email)}@{address_subject(remote_ip)}"


def everywhere_subject(email: str) -> str:
    """Return the name under which failures of an account are counted, wherever from."""
    return f"everywhere:{_digest(email)}"


def proof_subject(email: str) -> str:
    """Return the name under which failures of who is signed in are counted."""
    return f"proof:{_digest(email)}"


def address_subject(remote_ip: str) -> str:
    """Return the name for an address: IPv4 alone, IPv6 by the network that one customer has."""
    try:
        address = ipaddress.ip_address(remote_ip)
    except ValueError:
        return "address:unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return f"address:{address}"
    if address.ipv4_mapped is not None:
        return f"address:{address.ipv4_mapped}"
    return f"address:{ipaddress.ip_network((int(address), _IPV6_HOME), strict=False)}"


def admit(tx: Tx, email: str, remote_ip: str) -> None:
    """Count a sign-in as failed; a success takes it back.

    :raises TooManySignIns: it must wait; then nothing is counted.
    """
    everywhere, address = everywhere_subject(email), address_subject(remote_ip)
    crowded = tx.people.failures(everywhere)[0] >= CROWDED
    account = account_subject(email, remote_ip)
    _check(tx, account, 1 if crowded else FREE_FAILURES["account"])
    _check(tx, address, FREE_FAILURES["address"])
    for subject in (everywhere, account, address):
        tx.people.add_failure(subject, tx.now)


def succeeded(tx: Tx, email: str, remote_ip: str) -> None:
    """Take a sign-in back, and forget the account's failures there."""
    tx.people.clear_failures(everywhere_subject(email))
    tx.people.clear_failures(account_subject(email, remote_ip))
    tx.people.take_failure(address_subject(remote_ip))


def admit_proof(tx: Tx, email: str) -> None:
    """Count a proof of who is signed in as failed; a success clears it.

    :raises TooManySignIns: it must wait; then nothing is counted.
    """
    subject = proof_subject(email)
    _check(tx, subject, FREE_FAILURES["proof"])
    tx.people.add_failure(subject, tx.now)


def _check(tx: Tx, subject: str, free: int) -> None:
    failures, last_at = tx.people.failures(subject)
    if failures < free:
        return
    most = MAX_WAIT[subject.partition(":")[0]]
    left = plus(last_at, min(most, 2 ** min(failures - free, _STEPS))) - tx.now
    if left > 0:
        raise TooManySignIns(retry_after=-(-left // SECOND))


def _digest(email: str) -> str:
    return hashlib.sha256(email.encode("utf-8", "replace")).hexdigest()[:32]
