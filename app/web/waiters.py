"""How many waiting calls a caller may hold open in this process (T67)."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from app.core.errors import TooManyWaiters
from app.core.principals import Caller
from app.settings import Settings

_open: Counter[str] = Counter()


def may_wait(caller: Caller, settings: Settings) -> bool:
    """Whether the caller may hold one more waiting call open."""
    return _open[_name(caller)] < settings.max_waiters_per_key


def _name(caller: Caller) -> str:
    return caller.actor.reference if caller.key is None else caller.key.id


@contextmanager
def waiter(caller: Caller, most: int) -> Generator[None, None, None]:
    """Count one waiting call while it is open.

    :raises TooManyWaiters: the caller has that many open already.
    """
    name = _name(caller)
    if _open[name] >= most:
        raise TooManyWaiters(retry_after=5)
    _open[name] += 1
    try:
        yield
    finally:
        _open[name] -= 1
        if not _open[name]:
            del _open[name]
