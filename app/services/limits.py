"""The rate limit of a key, exact over all servers: calls are counted in the database."""

from dataclasses import dataclass

from app.clock import SystemClock
from app.core.bucket import Window, oldest_slot, slot_of, window
from app.core.errors import RateLimited
from app.core.principals import ApiKey
from app.store.engine import Store
from app.store.tx import Tx

__all__ = ("Limits", "Window")


@dataclass(frozen=True, slots=True)
class Limits:
    """Counts the calls of keys that have a limit; the others cost nothing."""

    store: Store
    clock: SystemClock

    async def check(self, key: ApiKey) -> Window | None:
        """Count a call and return how the limit stands; None when the key has none.

        A refused call is not counted, so that waiting as long as told always helps.

        :raises RateLimited: the call is one too many; ``extra`` has the limit's state.
        """
        limit = key.rate_limit
        if limit is None:
            return None
        state = await self.store.write(lambda tx: _count(tx, key.id, limit), order=key.id)
        if state.exceeded:
            raise RateLimited(
                retry_after=state.reset_seconds,
                extra={"scope": "key", "limit": limit, "reset": state.reset_seconds},
            )
        return state


def _count(tx: Tx, key_id: str, limit: int) -> Window:
    tx.agents.hold_calls(key_id)
    state = window(limit, tx.agents.calls(key_id, oldest_slot(tx.now)), tx.now)
    if not state.exceeded:
        tx.agents.count_call(key_id, slot_of(tx.now))
    return state
