"""The kinds of work that a transition leaves behind, and when a failed one is tried again."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.core.instant import Instant


class JobKind(StrEnum):
    """What is to be done after a transition; written in the transition's own transaction."""

    EXECUTE = "execute"
    BUNDLE = "bundle"
    NOTIFY = "notify"
    REFRESH = "refresh"
    ANNOUNCE = "announce"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work for a request, not to be started before ``run_at``."""

    kind: JobKind
    request_id: str
    run_at: Instant


class Postponed(Exception):
    """The work is not to be done yet, and that is no failure of it.

    :ivar seconds: after which to look again.
    """

    def __init__(self, seconds: float) -> None:
        """Say when to look again."""
        super().__init__(seconds)
        self.seconds = seconds


MAX_TRIES: Final = 8
"""Tries of a job before it is dead."""

_BACKOFF: Final = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0)


def backoff(tries: int) -> float:
    """Return the seconds to wait after the given number of tries (1 or more)."""
    return _BACKOFF[min(max(tries, 1), len(_BACKOFF)) - 1]
