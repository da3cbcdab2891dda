"""What conditions may ask of a command: its programs, the guard's word, and profiles by name."""

from collections.abc import Callable
from dataclasses import dataclass

from app.core.command_parts import CommandLine


@dataclass(frozen=True, slots=True)
class CommandFacts:
    """A command, taken apart and judged.

    :ivar effect: the guard's: ``allow``, ``review`` or ``deny``.
    :ivar tags: what the guard says of it, such as ``destructive``.
    :ivar permits: whether the profile of a name permits it; None when that can't be known.
    """

    line: CommandLine
    effect: str
    tags: frozenset[str]
    permits: Callable[[str], bool | None]
