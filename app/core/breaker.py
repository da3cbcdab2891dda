"""The circuit breaker of a target: a state machine over what its calls came to.

Closed, calls pass; each failure counts one up and each success one down, so that a few failures
among many answers never open it. Open, nothing passes until the cool-down is over. Then it is
half-open: so many probes pass, and they close it, or the first failure among them opens it again.

An agent chooses what it calls, so it can make a good target answer with errors or too late. What
came of a call that was sent (:attr:`Report.DOUBT`) therefore counts for one agent to half of the
threshold only, and an agent alone opens a breaker again once at most. No agent can cause that a
target cannot be reached: that counts in full.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from app.core.instant import SECOND, Instant
from app.core.outcome import Ambiguous, NotStarted

_SERVER_ERROR: Final = 500
_UNREACHED: Final = frozenset(
    {
        *("connect_failed", "connect_timeout", "connection_lost"),
        *("dns_failed", "tls_failed", "tls_certificate"),
    }
)
_OURS: Final = frozenset({"caller_left", "stream_seconds", "lease_lost"})


class State(StrEnum):
    """How a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Report(StrEnum):
    """What a call says about its upstream."""

    GOOD = "good"
    BAD = "bad"
    DOUBT = "doubt"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Fuse:
    """When a breaker opens and how it closes again.

    :ivar failures: net failures within the window that open it; 0 switches it off.
    :ivar window: seconds in which they count.
    :ivar cool_down: seconds that it stays open.
    :ivar probes: calls that must go well before it closes.
    """

    failures: int = 20
    window: int = 60
    cool_down: int = 30
    probes: int = 1


@dataclass(frozen=True, slots=True)
class Breaker:
    """How the breaker of one target stands.

    :ivar since: when this state began; closed, when the present window did.
    :ivar failures: net failures of the window; what opened it, while it is open.
    :ivar probes: probes that were let through and did not fail.
    :ivar passed: probes that went well.
    :ivar blame: agents and the failures in doubt that each brought, in the order of their first.
    """

    state: State
    since: Instant
    failures: int = 0
    probes: int = 0
    passed: int = 0
    blame: tuple[tuple[str, int], ...] = ()

    @property
    def resting(self) -> bool:
        """Whether it is as if nothing had ever failed."""
        return self.state is State.CLOSED and not self.failures


def wait_of(breaker: Breaker, fuse: Fuse, now: Instant) -> float:
    """Return the seconds after which a call may pass; 0 when one may pass now."""
    if breaker.state is State.CLOSED or not fuse.failures:
        return 0.0
    if breaker.state is State.HALF_OPEN and breaker.probes < fuse.probes:
        return 0.0
    elapsed = (now - breaker.since) / SECOND
    return max(0.0, fuse.cool_down - max(0.0, elapsed))


def admit(breaker: Breaker, fuse: Fuse, now: Instant) -> tuple[Breaker, float]:
    """Let a call through, or not.

    :returns: the breaker after it and 0, or as it is and the seconds to wait. Probes that nobody
        reported within a cool-down are taken for lost, and others take their place.
    """
    wait = wait_of(breaker, fuse, now)
    if wait or breaker.state is State.CLOSED or not fuse.failures:
        return breaker, wait
    if breaker.state is State.HALF_OPEN and breaker.probes < fuse.probes:
        return replace(breaker, probes=breaker.probes + 1), 0.0
    passed = breaker.passed if breaker.state is State.HALF_OPEN else 0
    half = replace(breaker, state=State.HALF_OPEN, since=now, probes=passed + 1, passed=passed)
    return half, 0.0


def heard(
    breaker: Breaker, fuse: Fuse, report: Report, now: Instant, agent_id: str = ""
) -> Breaker:
    """Return the breaker after a call's report; one that comes while it is open changes nothing.

    :param agent_id: whose call it was.
    """
    if breaker.state is State.OPEN or not fuse.failures:
        return breaker
    if breaker.state is State.CLOSED:
        return _counted(breaker, fuse, report, now, agent_id)
    if report is Report.DOUBT and breaker.blame == ((agent_id, 0),):
        report = Report.NOTHING
    if report in (Report.BAD, Report.DOUBT):
        blame = ((agent_id, 0),) if report is Report.DOUBT else ()
        return Breaker(State.OPEN, now, breaker.failures, blame=blame)
    if report is Report.NOTHING:
        return replace(breaker, probes=max(breaker.passed, breaker.probes - 1))
    if breaker.passed + 1 >= fuse.probes:
        return Breaker(State.CLOSED, now)
    return replace(breaker, passed=breaker.passed + 1)


def _counted(breaker: Breaker, fuse: Fuse, report: Report, now: Instant, agent_id: str) -> Breaker:
    over = not 0 <= now - breaker.since < fuse.window * SECOND
    failures, blame = (0, ()) if over else (breaker.failures, breaker.blame)
    if report is Report.GOOD:
        failures, blame = max(0, failures - 1), _eased(blame)
    elif report is Report.BAD:
        failures += 1
    elif report is Report.DOUBT:
        after = _blamed(blame, fuse, agent_id)
        failures += after != blame
        blame = after
    if failures >= fuse.failures:
        return Breaker(State.OPEN, now, failures)
    since = now if over or not breaker.failures else breaker.since
    return Breaker(State.CLOSED, since, failures, blame=blame if failures else ())


def _blamed(
    blame: tuple[tuple[str, int], ...], fuse: Fuse, agent_id: str
) -> tuple[tuple[str, int], ...]:
    """Return the blame with one more of an agent's, or as it is when the agent's is full."""
    counts = dict(blame)
    before = counts.get(agent_id, 0)
    if before >= min(-(-fuse.failures // 2), fuse.failures - 1):
        return blame
    counts[agent_id] = before + 1
    return tuple(counts.items())


def _eased(blame: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    """Return the blame with one less of the agent's that has most."""
    if not blame:
        return blame
    most = max(blame, key=lambda item: item[1])
    return tuple((name, count - ((name, count) == most)) for name, count in blame if count)


def report_of_status(status: int, *, errors_count: bool) -> Report:
    """Return what an answer says: any one shows that the upstream is there."""
    return Report.DOUBT if errors_count and status >= _SERVER_ERROR else Report.GOOD


def report_of_problem(problem: NotStarted | Ambiguous) -> Report:
    """Return what a call without an answer says; what stopped on our side says nothing."""
    if isinstance(problem, NotStarted):
        return Report.BAD if problem.code in _UNREACHED else Report.NOTHING
    return Report.NOTHING if problem.code in _OURS else Report.DOUBT
