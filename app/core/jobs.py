"""The kinds of work that a transition leaves behind, and when a failed one is tried again."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from app.core.action import Urgency
from app.core.instant import Instant


class JobKind(StrEnum):
    """What is to be done after a transition; written in the transition's own transaction."""

    EXECUTE = "execute"
    BUNDLE = "bundle"
    NOTIFY = "notify"
    REFRESH = "refresh"
    ANNOUNCE = "announce"
    ALARM = "alarm"


class Lane(StrEnum):
    """Where a job waits; each lane is worked off for itself, so that none waits for another."""

    DECIDED = "decided"
    """Executions that a person approved."""
    ASK = "ask"
    """Whatever tells people."""
    ANNOUNCE = "announce"
    """Whatever tells programs."""
    ALLOWED = "allowed"
    """Executions that a policy allowed."""


EXECUTING: Final = frozenset({Lane.DECIDED, Lane.ALLOWED})
"""Lanes of executions, of which each agent has so many at a time."""

DEAD_LANE: Final = "dead"
"""Where jobs lie whose tries are used up; nobody works there."""

_LANES: Final = {
    JobKind.NOTIFY: Lane.ASK,
    JobKind.REFRESH: Lane.ASK,
    JobKind.ALARM: Lane.ASK,
    JobKind.ANNOUNCE: Lane.ANNOUNCE,
}
_RUNNING: Final = {JobKind.EXECUTE, JobKind.BUNDLE}
_ASKING: Final = {JobKind.ALARM: 0, JobKind.NOTIFY: 1, JobKind.REFRESH: 2}
_PRESSING: Final = {Urgency.CRITICAL: 0, Urgency.HIGH: 1, Urgency.NORMAL: 2, Urgency.LOW: 3}


class Job(Struct, frozen=True):
    """One piece of work for a request, not to be started before ``run_at``.

    :ivar agent_id: whose request it is; the agents of a lane take turns.
    :ivar decided: whether a person decided the request.
    :ivar urgency: what goes first of the same agent's jobs, and of those alone.
    """

    kind: JobKind
    request_id: str
    run_at: Instant
    agent_id: str = ""
    decided: bool = False
    urgency: Urgency = Urgency.NORMAL

    @property
    def lane(self) -> Lane:
        """Where it waits."""
        return _LANES.get(self.kind, Lane.DECIDED if self.decided else Lane.ALLOWED)

    @property
    def rank(self) -> int:
        """What goes first among the jobs of one agent in a lane: the smallest."""
        return _PRESSING[self.urgency] if self.kind in _RUNNING else _ASKING.get(self.kind, 0)


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
