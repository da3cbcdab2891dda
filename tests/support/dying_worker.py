"""A worker that kills itself with SIGKILL at one marked step of one request's execution.

``arm`` wraps the method of the product at which the step is; the product itself knows nothing of
it. In the steps named ``...ing`` that are inside a transaction, everything is written and nothing
is committed when the process dies: the method runs in the store's writer thread, before COMMIT.
"""

import inspect
import os
import signal
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Final, Literal, NamedTuple

import workers.jobs
from app.services.bundles import Bundles
from app.services.execution import Execution
from app.store.jobs import Jobs
from app.store.requests import Requests
from workers.executors.incoming import Incoming
from workers.jobs import JobSource

JOB_LEASE: Final = 1.0
"""Seconds of a dying worker's leases on jobs; the product's 10 would only be waited for."""


class Step(NamedTuple):
    """A step: just before or just after a method that concerns the victim."""

    owner: Any
    method: str
    moment: Literal["before", "after"]


STEPS: Final[dict[str, Step]] = {
    "taking the job": Step(Jobs, "claim", "after"),
    "job taken": Step(JobSource, "work", "before"),
    "claiming": Step(Execution, "claim", "after"),
    "claimed": Step(Execution, "carry_out", "before"),
    "marking sent": Step(Requests, "mark_sent", "after"),
    "marked sent": Step(Execution, "_mark_sent", "after"),
    "answer begun": Step(Incoming, "__init__", "before"),
    "answered": Step(Execution, "_attempt", "after"),
    "finishing": Step(Execution, "_finish", "after"),
    "finished": Step(Execution, "carry_out", "after"),
    "completing the job": Step(Jobs, "done", "after"),
}
"""The steps in their order; between "marked sent" and "answer begun" the bytes leave."""


BUNDLE_STEPS: Final[dict[str, Step]] = {
    "bundle claimed": Step(Bundles, "carry_out", "before"),
    "call begun": Step(Bundles, "_attempt", "before"),
    "marking call sent": Step(Bundles, "_mark_sent", "after"),
    "call marked sent": Step(Bundles, "_mark", "after"),
    "call answered": Step(Bundles, "_attempt", "after"),
    "finishing call": Step(Bundles, "_finish", "after"),
}
"""The steps of a bundle in their order; all but the first are those of one call, known by its
id."""

_ALL: Final = {**STEPS, **BUNDLE_STEPS}


def hasten() -> None:
    """Let the leases on jobs that this process claims end soon."""
    workers.jobs.JOB_LEASE = JOB_LEASE


def arm(name: str, victim: Iterable[str]) -> None:
    """Let this process die at a step of the request with the given id and path."""
    step = _ALL[name]
    method = getattr(step.owner, step.method)
    wrapping = _wrapped_async if inspect.iscoroutinefunction(method) else _wrapped
    setattr(step.owner, step.method, wrapping(method, name, frozenset(victim)))


def _wrapped(method: Callable[..., Any], name: str, victim: frozenset[str]) -> Callable[..., Any]:
    @wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        _die_if(name, "before", victim, arguments)
        result = method(*arguments, **named)
        _die_if(name, "after", victim, (*arguments, result))
        return result

    return call


def _wrapped_async(
    method: Callable[..., Any], name: str, victim: frozenset[str]
) -> Callable[..., Any]:
    @wraps(method)
    async def call(*arguments: Any, **named: Any) -> Any:
        _die_if(name, "before", victim, arguments)
        result = await method(*arguments, **named)
        _die_if(name, "after", victim, (*arguments, result))
        return result

    return call


def _die_if(name: str, moment: str, victim: frozenset[str], values: Iterable[object]) -> None:
    """Die when it is the moment and one of the values concerns the victim."""
    if moment == _ALL[name].moment and any(_concerns(value, victim) for value in values):
        os.write(2, f"dying at {name}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)


def _concerns(value: object, victim: frozenset[str]) -> bool:
    """Whether a value is the victim's id, names it, or is a list of what does."""
    if isinstance(value, list):
        return any(_concerns(item, victim) for item in value)
    if isinstance(value, str):
        return value in victim
    names = (getattr(value, name, None) for name in ("id", "request_id", "target"))
    request = getattr(value, "request", None)
    return any(isinstance(name, str) and name in victim for name in names) or (
        request is not None and _concerns(request, victim)
    )
