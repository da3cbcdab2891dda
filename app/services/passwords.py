"""Passwords: argon2id off the event loop, few at a time, with equal work for unknown accounts."""

import asyncio
import base64
import unicodedata
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.core.errors import TooManySignIns, WeakPassword

T = TypeVar("T")

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 256
QUEUE_LIMIT: Final = 64
"""Sign-ins that may wait for their turn before further ones are refused."""

_AT_A_TIME: Final = 2
_COMMON: Final = (
    "password", "passwort", "qwerty", "letmein", "welcome", "123456", "abc123", "iloveyou",
    "administrator", "assentry", "changeme", "change-me", "secret",
)  # fmt: skip
_DISTINCT: Final = 5
_SHORTEST_NAME: Final = 3

_HASHER: Final = PasswordHasher()


class _Queue:
    """How many sign-ins are under way in this process."""

    length = 0


def _plain64(value: bytes) -> str:
    return base64.b64encode(value).decode().rstrip("=")


_UNKNOWN: Final = (
    f"$argon2id$v=19$m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    f"${_plain64(bytes(_HASHER.salt_len))}${_plain64(bytes(_HASHER.hash_len))}"
)
"""A hash that no password has and that takes the same work."""


def check_strength(password: str, email: str, pointer: str = "/password") -> None:
    """Refuse passwords that are guessed first.

    :raises WeakPassword: with what to change.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        message = f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters"
        raise WeakPassword(message, pointer=pointer)
    plain = password.lower()
    name = email.partition("@")[0].lower()
    if len(name) >= _SHORTEST_NAME and name in plain:
        message = "a password must not hold the name of its e-mail address"
        raise WeakPassword(message, pointer=pointer)
    bare = plain
    for word in _COMMON:
        bare = bare.replace(word, "")
    if len(set(plain)) < _DISTINCT or len(bare) < MIN_LENGTH // 2:
        message = "this password is guessed quickly; several unrelated words make a good one"
        raise WeakPassword(message, pointer=pointer)


@contextmanager
def turn() -> Generator[None, None, None]:
    """Take part in the queue of sign-ins.

    :raises TooManySignIns: it is full; those who wait already are served.
    """
    if _Queue.length >= QUEUE_LIMIT:
        message = "too many people sign in at once; try again in a moment"
        raise TooManySignIns(message, retry_after=5)
    _Queue.length += 1
    try:
        yield
    finally:
        _Queue.length -= 1


async def hash_password(password: str) -> str:
    """Return the argon2id hash of a password."""
    return await _off_the_loop(lambda: _HASHER.hash(_bytes(password)))


async def matches(stored: str | None, password: str) -> bool:
    """Whether the password is the one of the hash; the same work when there is no hash."""
    return await _off_the_loop(lambda: _verify(stored, password))


async def _off_the_loop(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads(), work)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_A_TIME, "passwords")


def _verify(stored: str | None, password: str) -> bool:
    if len(password) > MAX_LENGTH:
        stored, password = None, ""
    try:
        _HASHER.verify(stored or _UNKNOWN, _bytes(password))
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def _bytes(password: str) -> bytes:
    """Return one form of a password, however the keyboard put its characters together."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
