"""The few ports: where there are two real implementations, or a foreign system."""

from collections.abc import Awaitable, Callable
from typing import ClassVar, Protocol

from app.core.outcome import HttpPlan, Injection, Outcome

MarkSent = Callable[[], Awaitable[None]]
"""Awaited once, just before the first byte leaves; it raises when the holder must stop."""


class Executor(Protocol):
    """Carries out one kind of action."""

    kind: ClassVar[str]
    """The kind of action, as in ``core.action.Kind``."""

    async def execute(self, plan: HttpPlan, injection: Injection, mark_sent: MarkSent) -> Outcome:
        """Carry out a plan once.

        :raises NotStarted: nothing was sent.
        :raises Ambiguous: something was sent and no definite answer came.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
