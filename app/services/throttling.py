"""Throttling of sign-ins: per account and per address, each with a growing delay (T31)."""

import hashlib
import ipaddress
from typing import Final

from app.core.errors import TooManySignIns
from app.core.instant import SECOND, plus
from app.store.tx import Tx

FREE_FAILURES: Final = {"account": 5, "address": 20}
"""Failed sign-ins of a kind of subject before each further one must wait."""

MAX_WAIT: Final = {"account": 60, "address": 900}
"""Longest wait in seconds; a short one for accounts, so that nobody is kept out by guessing."""

_IPV6_HOME: Final = 64
_STEPS: Final = 10


def account_subject(email: str) -> str:
    """Return the name under which failures of an account are counted; it need not exist."""
    return f"account:{hashlib.sha256(email.encode('utf-8', 'replace')).hexdigest()[:32]}"


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


def admit(tx: Tx, *subjects: str) -> None:
    """Count an attempt as a failure of each subject; a success takes it back.

    :raises TooManySignIns: a subject must wait; then nothing is counted.
    """
    for subject in subjects:
        failures, last_at = tx.people.failures(subject)
        kind = subject.partition(":")[0]
        over = failures - FREE_FAILURES[kind]
        if over < 0:
            continue
        left = plus(last_at, min(MAX_WAIT[kind], 2 ** min(over, _STEPS))) - tx.now
        if left > 0:
            raise TooManySignIns(retry_after=-(-left // SECOND))
    for subject in subjects:
        tx.people.add_failure(subject, tx.now)
