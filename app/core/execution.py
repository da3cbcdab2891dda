"""What execution checks before it starts, and what an executor's report means for the request."""

import hashlib
from collections.abc import Sequence
from typing import Final

from app.core import events as ev
from app.core.action import HttpAction, Submission, unseal
from app.core.asking import check_call, permit
from app.core.audit import Actor
from app.core.calls import CallNotPermitted
from app.core.canonical import canonical
from app.core.errors import AssentryError, TargetNotPermitted
from app.core.instant import Instant
from app.core.json_types import JsonObject, JsonValue
from app.core.lifecycle import MAX_ATTEMPTS
from app.core.outcome import Ambiguous, HttpPlan, NotStarted, Outcome, Passed
from app.core.policy import Effect
from app.core.principals import Agent, ApiKey
from app.core.request import Choice, Request, Vote
from app.core.ssh_action import SshAction
from app.core.ssh_plan import SshPlan
from app.core.ssh_target import permit_ssh
from app.core.targets import Target

_NOTHING: Final[JsonObject] = {}
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
"""Methods that RFC 9110 section 9.2.1 defines as safe, of those that we send."""


class Refusal(Exception):
    """The grant does not hold (any more); ``code`` is a slug and the text says why."""

    def __init__(self, code: str, note: str) -> None:
        """Keep the slug and the sentence."""
        self.code = code
        self.note = note
        super().__init__(note)


def verify_payload(request: Request, votes: Sequence[Vote]) -> Submission:
    """Return the submission, if it is what was submitted and decided, to the byte (I1, T1).

    :raises Refusal: when payload, columns or votes do not fit together.
    """
    if hashlib.sha256(request.payload).hexdigest() != request.digest:
        raise Refusal("payload_changed", "The stored payload is not the one that was submitted.")
    try:
        submission = unseal(request.payload)
    except (AssentryError, ValueError) as error:
        raise Refusal("payload_changed", f"The stored payload cannot be read: {error}") from error
    if not _columns_fit(request, submission):
        raise Refusal("payload_changed", "The stored columns are not those of the payload.")
    yes = [vote for vote in votes if vote.ballot.choice is Choice.APPROVE]
    if any(vote.ballot.digest != request.digest for vote in yes):
        raise Refusal("payload_changed", "A vote was cast on another payload.")
    if request.effect is not Effect.ALLOW and len(yes) < max(request.quorum, 1):
        raise Refusal("votes_missing", "The votes that the approval needs are not on record.")
    return submission


def _columns_fit(request: Request, submission: Submission) -> bool:
    target = submission.target
    return (
        request.agent_id == submission.agent_id
        and request.kind is submission.action.kind
        and request.action == submission.action.name
        and request.urgency is submission.urgency
        and request.reason == submission.reason
        and request.target_id == (None if target is None else target.id)
        and request.target_name == (None if target is None else target.name)
    )


def verify_parties(agent: Agent | None, key: ApiKey | None, now: Instant) -> None:
    """Refuse when the one who asked was stopped meanwhile.

    :raises Refusal: the agent is gone or frozen, or the key was revoked or has expired.
    """
    if agent is None or agent.frozen:
        raise Refusal("agent_frozen", "The agent is frozen.")
    if key is None or key.revoked_at is not None:
        raise Refusal("key_revoked", "The key that asked was revoked.")
    if key.expires_at is not None and key.expires_at <= now:
        raise Refusal("key_expired", "The key that asked has expired.")


def verify_permission(submission: Submission, key: ApiKey | None) -> None:
    """Refuse a call that the key does not permit (KEY-2).

    :raises Refusal: it is not among its permissions.
    """
    action, bound = submission.action, submission.target
    if key is None or bound is None:
        return
    try:
        if isinstance(action, HttpAction):
            permit(key.permissions, bound.name, action)
        elif isinstance(action, SshAction):
            permit_ssh(key.permissions, bound.name)
    except TargetNotPermitted as error:
        raise Refusal(error.code, error.detail) from error


def verify_target(submission: Submission, target: Target | None) -> Target:
    """Return the target, if it is still the one that was approved (T3) and takes the call.

    :raises Refusal: it is gone, switched off or was changed, or its lists exclude the call.
    """
    bound = submission.target
    if bound is None or target is None or not target.enabled:
        raise Refusal("target_disabled", "The target is gone or switched off.")
    if target.revision != bound.revision or target.base_url != bound.base_url:
        raise Refusal("target_changed", "The target was changed after the request; ask again.")
    if isinstance(submission.action, HttpAction):
        try:
            check_call(target, submission.action)
        except CallNotPermitted as error:
            raise Refusal(error.code, error.detail) from error
    return target


def plan_of(submission: Submission, target: Target) -> HttpPlan:
    """Return the plan of an HTTP execution: the approved bytes and the target's limits."""
    action, bound = submission.action, submission.target
    if not isinstance(action, HttpAction) or bound is None:
        raise Refusal("not_executable", "This kind of action is not executed here.")
    limits = target.settings
    return HttpPlan(
        method=action.method,
        base_url=bound.base_url,
        path=action.path,
        query=action.query,
        headers=action.headers,
        body=action.body,
        networks=limits.networks,
        connect_seconds=limits.connect_seconds,
        total_seconds=limits.total_seconds,
        response_bytes=limits.response_bytes,
        idle_seconds=limits.idle_seconds,
        stream_seconds=limits.stream_seconds,
        stream_bytes=limits.stream_bytes,
        pass_cookies=limits.pass_cookies,
        request_bytes=limits.request_bytes,
    )


def ssh_plan_of(submission: Submission, target: Target, request_id: str) -> SshPlan:
    """Return the plan of an SSH execution: the approved action and the place it was bound to."""
    action, bound, limits = submission.action, submission.target, target.settings
    ssh = limits.ssh
    if not isinstance(action, SshAction) or bound is None or bound.ssh is None or ssh is None:
        raise Refusal("not_executable", "This kind of action is not executed here.")
    return SshPlan(
        request_id=request_id,
        action=action,
        place=bound.ssh,
        networks=limits.networks,
        cidrs=ssh.cidrs,
        connect_seconds=limits.connect_seconds,
    )


def is_idempotent(submission: Submission, target: Target | None) -> bool:
    """Whether sending it again does no harm: a safe method at a target that says so."""
    action = submission.action
    return (
        target is not None
        and target.settings.retry_safe_methods
        and isinstance(action, HttpAction)
        and action.method in SAFE_METHODS
    )


def reported(outcome: Outcome, fence: int, actor: Actor) -> ev.Event:
    """Return the event for a definite answer."""
    result = outcome.result
    passed = {} if result.passed is None else {**_passed(result.passed), "kept": result.kept}
    summary = canonical(
        {
            "code": outcome.code,
            **({"status": result.status} if result.status else {}),
            "duration_ms": outcome.duration_ms,
            "bytes": len(result.body),
            "truncated": result.truncated,
            **passed,
            **outcome.facts,
        }
    ).decode()
    event = ev.Succeed if outcome.succeeded else ev.Fail
    return event(actor=actor, fence=fence, outcome=summary)


def not_started(
    problem: NotStarted, request: Request, actor: Actor, *, once: bool = False
) -> ev.Event:
    """Return the event for an execution that provably sent nothing.

    :param once: a door waits for it; who called may call again, so no worker does.
    """
    summary = _problem(problem.code, problem.detail)
    if problem.retryable and not once and request.attempt < MAX_ATTEMPTS:
        return ev.Release(actor=actor, fence=request.fence, outcome=summary)
    return ev.Fail(actor=actor, fence=request.fence, outcome=summary)


def in_doubt(problem: Ambiguous, fence: int, actor: Actor, *, idempotent: bool) -> ev.Event:
    """Return the event for an execution that may have taken place."""
    passed = {} if problem.passed is None else _passed(problem.passed)
    summary = _problem(problem.code, problem.detail, passed)
    return ev.Lose(actor=actor, fence=fence, outcome=summary, idempotent=idempotent)


def _passed(passed: Passed) -> JsonObject:
    """Return what the record keeps of an answer that was passed on."""
    found: dict[str, JsonValue] = {
        "status": passed.status, "bytes": passed.size, "sha256": passed.sha256
    }  # fmt: skip
    return {**found, "cut": passed.cut} if passed.cut else found


def _problem(code: str, detail: str, more: JsonObject = _NOTHING) -> str:
    return canonical({"code": code, "detail": detail[:500], **more}).decode()
