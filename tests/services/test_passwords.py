"""Passwords: what is guessed first is refused; checking one takes the same work for everybody."""

import asyncio
import unicodedata

import pytest

from app.core.errors import TooManySignIns, WeakPassword
from app.services.passwords import (
    MAX_LENGTH,
    QUEUE_LIMIT,
    check_strength,
    hash_password,
    matches,
    turn,
)

GOOD = "four unrelated words 47"


@pytest.mark.requirement("PPL-1")
@pytest.mark.parametrize(
    "password",
    [
        "", "short", "elevenchars", "x" * (MAX_LENGTH + 1), "aaaaaaaaaaaaaaaa", "abababababababab",
        "password123456", "Passwort-123456", "letmeinletmein1", "changeme-changeme",
        "carlcarlcarl-47!", "i-am-CARL-the-great",
    ],
)  # fmt: skip
def test_weak_ones_are_refused(password: str) -> None:
    with pytest.raises(WeakPassword) as refused:
        check_strength(password, "carl@example.org", "/new")
    assert refused.value.pointer == "/new"
    assert not password or password not in refused.value.detail


@pytest.mark.parametrize(
    "password", [GOOD, "tr0ub4dor&3-staple", "ключ от старой двери", "x1y2z3" * 3]
)
def test_good_ones_pass(password: str) -> None:
    check_strength(password, "carl@example.org")


@pytest.mark.requirement("PPL-1", "T31", "T32")
async def test_a_hash_is_argon2id_and_salted() -> None:
    one, two = await hash_password(GOOD), await hash_password(GOOD)
    assert one != two
    assert one.startswith("$argon2id$")
    assert GOOD not in one
    assert await matches(one, GOOD)
    assert not await matches(one, GOOD + " ")
    assert not await matches(None, GOOD)
    assert not await matches("-", GOOD)


async def test_a_keyboards_composition_does_not_matter() -> None:
    composed = unicodedata.normalize("NFC", "grüße aus köln 47")
    stored = await hash_password(composed)
    assert await matches(stored, unicodedata.normalize("NFD", composed))


@pytest.mark.requirement("T67")
async def test_endless_passwords_are_not_hashed() -> None:
    stored = await hash_password("a" * MAX_LENGTH)
    assert not await matches(stored, "a" * (MAX_LENGTH + 1))


@pytest.mark.requirement("T67")
async def test_the_queue_is_bounded_and_lets_go() -> None:
    leave, inside = asyncio.Event(), asyncio.Semaphore(0)

    async def wait() -> None:
        with turn():
            inside.release()
            await leave.wait()

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for _ in range(QUEUE_LIMIT):
            group.create_task(wait())
        for _ in range(QUEUE_LIMIT):
            await inside.acquire()
        with pytest.raises(TooManySignIns), turn():
            pass
        leave.set()
    with turn():
        pass
