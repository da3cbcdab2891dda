"""Bundles: several HTTP calls under one request, decided together, carried out in order (REQ-8).

A call that has its end is never run again; one that a vote left out never runs; and what was sent
without an answer stops the bundle for a person to look at.
"""

from collections import Counter
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

from msgspec import structs

from app.core.action import (
    HTTP_REQUEST,
    Action,
    BoundTarget,
    BundleAction,
    HttpAction,
    Kind,
    OnFailure,
    Submission,
    unseal,
)
from app.core.asking import build_action
from app.core.canonical import canonical
from app.core.errors import AssentryError, InvalidAction, InvalidField
from app.core.execution import Refusal
from app.core.instant import Instant
from app.core.json_types import JsonObject, JsonValue
from app.core.request import TERMINAL, Ballot, Choice, Request, Status, Vote

MAX_CALLS: Final = 50
MAX_BYTES: Final = 4 * 1024 * 1024
"""Most bytes of all bodies of a bundle together."""

MAX_CALL_NOTE: Final = 500
_FIELDS: Final = frozenset({"calls", "on_failure"})


class CallStatus(StrEnum):
    """Where one call of a bundle stands."""

    WAITING = "waiting"
    EXCLUDED = "excluded"
    SENT = "sent"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


DONE: Final = frozenset({CallStatus.SUCCEEDED, CallStatus.FAILED})
"""Statuses of a call with a definite end: it is never run again."""


@dataclass(frozen=True, slots=True)
class CallState:
    """One call of a bundle as stored.

    :ivar number: its place, from 1.
    :ivar sent_at: set just before its first byte left.
    :ivar outcome: canonical JSON text of what came of it.
    :ivar fence: of the claim that wrote last.
    """

    request_id: str
    number: int
    target_id: str
    status: CallStatus = CallStatus.WAITING
    sent_at: Instant | None = None
    finished_at: Instant | None = None
    outcome: str | None = None
    fence: int = 0


def become(
    state: CallState,
    status: CallStatus,
    finished_at: Instant | None = None,
    outcome: str | None = None,
    fence: int = 0,
) -> CallState:
    """Return the call in another status; what is not told stays."""
    return CallState(
        state.request_id, state.number, state.target_id, status, state.sent_at,
        finished_at, outcome or state.outcome, fence or state.fence,
    )  # fmt: skip


# --- asking ---


@dataclass(frozen=True, slots=True)
class Draft:
    """A call of a bundle before its target is known to be there."""

    target: str | None
    call: HttpAction
    note: str


@contextmanager
def in_call(number: int) -> Generator[None]:
    """Let an error say which call it is about, in its text and its pointer."""
    try:
        yield
    except AssentryError as error:
        pointer = f"/params/calls/{number - 1}{error.pointer.removeprefix('/params')}"
        raise type(error)(
            f"call {number}: {error.detail}", pointer=pointer, retry_after=error.retry_after,
            extra=error.extra,
        ) from error  # fmt: skip


def read_bundle(params: JsonObject, target: str | None) -> tuple[tuple[Draft, ...], OnFailure]:
    """Return the calls that the parameters describe, and what happens after a failure.

    :param target: of the calls that name none.
    :raises InvalidAction: with a pointer to what must change.
    """
    if unknown := sorted(set(params) - _FIELDS):
        message = f"a bundle has no parameter {unknown[0]!r}"
        raise InvalidAction(message, pointer=f"/params/{unknown[0]}")
    calls = params.get("calls")
    if not isinstance(calls, list) or not 0 < len(calls) <= MAX_CALLS:
        message = f"calls is a list of 1 to {MAX_CALLS} calls"
        raise InvalidAction(message, pointer="/params/calls")
    on_failure = params.get("on_failure", OnFailure.STOP.value)
    if on_failure not in list(OnFailure):
        message = "on_failure is stop or continue"
        raise InvalidAction(message, pointer="/params/on_failure")
    drafts = tuple(_draft(number, call, target) for number, call in enumerate(calls, 1))
    if sum(len(draft.call.body) for draft in drafts) > MAX_BYTES:
        message = f"the bodies of a bundle have at most {MAX_BYTES} bytes together"
        raise InvalidAction(message, pointer="/params/calls")
    return drafts, OnFailure(cast("str", on_failure))


def _draft(number: int, value: JsonValue, target: str | None) -> Draft:
    with in_call(number):
        if not isinstance(value, Mapping):
            message = "a call is an object"
            raise InvalidAction(message)
        named, note = value.get("target", target), value.get("note", "")
        if named is not None and not isinstance(named, str):
            message = "a target is given by its name"
            raise InvalidAction(message, pointer="/params/target")
        if not isinstance(note, str) or len(note) > MAX_CALL_NOTE:
            message = f"a note is a text of at most {MAX_CALL_NOTE} characters"
            raise InvalidAction(message, pointer="/params/note")
        rest = {name: part for name, part in value.items() if name not in ("target", "note")}
        return Draft(named, cast("HttpAction", build_action(HTTP_REQUEST, rest)), note)


# --- reading ---


def common_target(action: Action) -> BoundTarget | None:
    """Return the target of all calls of a bundle, or None when there are several."""
    items = action.items if isinstance(action, BundleAction) else ()
    targets = {item.target for item in items}
    return targets.pop() if len(targets) == 1 else None


def bundle_of(submission: Submission) -> BundleAction:
    """Return the bundle that was asked for.

    :raises Refusal: it is none.
    """
    if not isinstance(submission.action, BundleAction):
        code, note = "not_executable", "This kind of action is not executed here."
        raise Refusal(code, note)
    return submission.action


def call_of(submission: Submission, number: int) -> Submission:
    """Return one call of a bundle as if it had been asked for alone."""
    item = bundle_of(submission).items[number - 1]
    return structs.replace(submission, action=item.call, target=item.target)


def opened(request: Request) -> tuple[CallState, ...]:
    """Return how the calls of a bundle stand when it is submitted."""
    items = bundle_of(unseal(request.payload)).items
    return tuple(
        CallState(request.id, number, item.target.id) for number, item in enumerate(items, 1)
    )


def calls_by_target(request: Request) -> dict[str, int]:
    """Return how many calls a request makes, by the id of the target."""
    if request.kind is not Kind.BUNDLE:
        return {request.target_id or "": 1}
    return dict(Counter(state.target_id for state in opened(request)))


# --- deciding ---


def excluded_by(votes: Iterable[Vote]) -> frozenset[int]:
    """Return the calls that approvals leave out: one approval is enough."""
    yes = (vote.ballot for vote in votes if vote.ballot.choice is Choice.APPROVE)
    return frozenset(number for ballot in yes for number in ballot.excluded)


def check_excluded(request: Request, ballot: Ballot, votes: Iterable[Vote]) -> None:
    """Refuse a ballot that leaves out what cannot be, or all that is left.

    :param votes: those counted so far.
    :raises InvalidField: it does.
    """
    if not ballot.excluded:
        return
    if ballot.choice is Choice.DENY:
        message = "a denial leaves nothing out; it is about all calls"
        raise InvalidField(message, pointer="/except")
    count = _count(request)
    if not count:
        message = "only calls of a bundle can be left out"
        raise InvalidField(message, pointer="/except")
    if not set(ballot.excluded) <= set(range(1, count + 1)):
        message = f"the calls are numbered from 1 to {count}"
        raise InvalidField(message, pointer="/except")
    if len(excluded_by(votes).union(ballot.excluded)) == count:
        message = "that would leave no call to run; deny the request instead"
        raise InvalidField(message, pointer="/except")


def _count(request: Request) -> int:
    try:
        return len(bundle_of(unseal(request.payload)).items)
    except (AssentryError, ValueError, Refusal):
        return 0


# --- carrying out ---


def left_to_run(
    bundle: BundleAction,
    states: Sequence[CallState],
    excluded: frozenset[int],
    advanced: Collection[object],
) -> list[int]:
    """Return the numbers of the calls that are still to run, in order.

    :param excluded: by the votes; what is stored about them decides nothing.
    :param advanced: calls whose end stands in the record.
    :raises Refusal: what is stored does not fit to votes and record, or nothing is left.
    """
    numbers = range(1, len(bundle.items) + 1)
    stored = {state.number: state for state in states}
    done = {number for number, state in stored.items() if state.status in DONE}
    out = {number for number, state in stored.items() if state.status is CallStatus.EXCLUDED}
    rest = [n for n in numbers if n not in excluded and n not in done]
    fits = (
        set(stored) == set(numbers)
        and all(stored[n].target_id == bundle.items[n - 1].target.id for n in numbers)
        and all(stored[n].status is CallStatus.WAITING for n in rest)
        and done == set(advanced)
        and out <= excluded
        and not done & excluded
        and all(n < min(rest, default=0) for n in done)
    )
    if not fits:
        code, note = "calls_changed", "What is stored of the calls does not fit to the record."
        raise Refusal(code, note)
    return rest


def goes_on(bundle: BundleAction, became: CallStatus) -> bool:
    """Whether the next call may run after one became this."""
    if became is CallStatus.FAILED:
        return bundle.on_failure is OnFailure.CONTINUE
    return became is CallStatus.SUCCEEDED


def consequences(status: Status) -> Mapping[CallStatus, CallStatus]:
    """Return what calls become of themselves when their request takes a status."""
    if status is Status.UNKNOWN:
        return {CallStatus.SENT: CallStatus.UNKNOWN, CallStatus.WAITING: CallStatus.SKIPPED}
    return {CallStatus.WAITING: CallStatus.SKIPPED} if status in TERMINAL else {}


def whole(states: Iterable[CallState]) -> bool:
    """Whether everything that was to run has succeeded."""
    return {state.status for state in states} <= {CallStatus.SUCCEEDED, CallStatus.EXCLUDED}


def summary(states: Sequence[CallState]) -> str:
    """Return the outcome of a bundle: a code, and how many calls became what."""
    counts = Counter(state.status for state in states)
    if whole(states):
        code = "ok"
    elif counts[CallStatus.WAITING] or counts[CallStatus.SENT]:
        code = "in_progress"
    else:
        code = "outcome_unknown" if counts[CallStatus.UNKNOWN] else "calls_failed"
    parts: dict[str, JsonValue] = {status.value: counts[status] for status in CallStatus
                                   if counts[status]}  # fmt: skip
    return canonical({"code": code, "calls": len(states), **parts}).decode()


def with_status(
    states: Sequence[CallState], changes: Mapping[CallStatus, CallStatus]
) -> list[CallState]:
    """Return the calls as they are once those of a status took another."""
    return [become(state, changes.get(state.status, state.status)) for state in states]
