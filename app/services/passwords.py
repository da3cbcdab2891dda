"""Passwords: argon2id off the event loop, few at a time, with equal work for unknown accounts."""

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.core.errors import WeakPassword

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 256
_AT_A_TIME: Final = 2
_COMMON: Final = (
    "password", "passwort", "qwerty", "letmein", "welcome", "123456", "abc123", "iloveyou",
    "administrator", "assentry", "changeme", "change-me", "secret",
)  # fmt: skip
_DISTINCT: Final = 5

_HASHER: Final = PasswordHasher()
_gate: Final = asyncio.Semaphore(_AT_A_TIME)

_UNKNOWN: Final = _HASHER.hash("an account that does not exist")


def check_strength(password: str, email: str, pointer: str = "/password") -> None:
    """Refuse passwords that are guessed first.

    :raises WeakPassword: with what to change.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        message = f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters"
        raise WeakPassword(message, pointer=pointer)
    plain = password.lower()
    name = email.partition("@")[0].lower()
    bare = plain
    for word in (*_COMMON, name):
        bare = bare.replace(word, "") if word else bare
    if len(set(plain)) < _DISTINCT or len(bare) < MIN_LENGTH // 2:
        message = "this password is guessed quickly; several unrelated words make a good one"
        raise WeakPassword(message, pointer=pointer)


async def hash_password(password: str) -> str:
    """Return the argon2id hash of a password."""
    async with _gate:
        return await asyncio.to_thread(_HASHER.hash, password)


async def matches(stored: str | None, password: str) -> bool:
    """Whether the password is the one of the hash; the same work when there is no hash."""
    async with _gate:
        return await asyncio.to_thread(_verify, stored, password)


def _verify(stored: str | None, password: str) -> bool:
    try:
        _HASHER.verify(stored or _UNKNOWN, password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None
