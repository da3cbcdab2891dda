"""What must still hold when an execution begins, and what its end means."""

import json
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from app.core import events as ev
from app.core.action import BoundTarget, HttpAction, PlainAction, Submission, Urgency, seal
from app.core.audit import SYSTEM
from app.core.canonical import digest
from app.core.execution import (
    Refusal,
    in_doubt,
    is_idempotent,
    not_started,
    plan_of,
    reported,
    verify_parties,
    verify_payload,
    verify_target,
)
from app.core.instant import Instant
from app.core.lifecycle import MAX_ATTEMPTS
from app.core.outcome import Ambiguous, HttpResult, NotStarted, Outcome
from app.core.policy import Effect
from app.core.principals import Agent, ApiKey
from app.core.request import Ballot, Choice, Request, Status, Vote
from app.core.targets import Target, TargetSettings

CALL = HttpAction("POST", "/x", "q=1", (("x-tag", "v"),), b"{}")
TARGET = Target(
    id="tgt_1", name="github", description="", kind="http", base_url="https://api.example.org",
    revision=3, enabled=True, credential_id=None, created_at=Instant(0), updated_at=Instant(0),
    settings=TargetSettings(networks=("10.0.0.0/8",), connect_seconds=1, total_seconds=2,
                            response_bytes=3, retry_safe_methods=True),
)  # fmt: skip
BOUND = BoundTarget("tgt_1", "github", "https://api.example.org", 3)
SUBMISSION = Submission("agt_1", CALL, BOUND, Urgency.NORMAL, "why", {})
PAYLOAD = seal(SUBMISSION)
REQUEST = Request(
    id="req_1", agent_id="agt_1", key_id="key_1", owner_id="per_1", kind=CALL.kind,
    action=CALL.name, target_id="tgt_1", target_name="github", urgency=Urgency.NORMAL,
    reason="why", payload=PAYLOAD, digest=digest(PAYLOAD), effect=Effect.REVIEW, verdict="{}",
    quorum=1, owner_may_decide=None, route="", require_reason=False, valid_for=600,
    created_at=Instant(0), expires_at=Instant(9), status=Status.APPROVED, fence=7,
)  # fmt: skip
VOTE = Vote("req_1", "per_1", Ballot(Choice.APPROVE, REQUEST.digest, "", "api"), Instant(1))
AGENT = Agent("agt_1", "robot", "", "per_1", 0, False, Instant(0))
KEY = ApiKey(
    id="key_1", name="k", prefix="ask_", sha256="0", agent_id="agt_1", person_id=None,
    scopes=frozenset(), permissions=None, networks=(), rate_limit=None, created_at=Instant(0),
)  # fmt: skip


def resealed(**changes: Any) -> Request:
    """Return the request with another payload and the digest that fits it."""
    payload = seal(structs.replace(SUBMISSION, **changes))
    return replace(REQUEST, payload=payload, digest=digest(payload))


@pytest.mark.requirement("REQ-2", "T1")
def test_what_was_approved_is_what_is_returned() -> None:
    assert verify_payload(REQUEST, [VOTE]) == SUBMISSION
    assert verify_payload(replace(REQUEST, effect=Effect.ALLOW), []) == SUBMISSION


@pytest.mark.requirement("REQ-2", "T1")
def test_every_changed_byte_of_the_payload_is_refused() -> None:
    for place in range(len(PAYLOAD)):
        changed = bytearray(PAYLOAD)
        changed[place] ^= 1
        with pytest.raises(Refusal) as refused:
            verify_payload(replace(REQUEST, payload=bytes(changed)), [VOTE])
        assert refused.value.code == "payload_changed"


@pytest.mark.requirement("REQ-2", "T1", "T3")
@pytest.mark.parametrize(
    "changed",
    [
        resealed(agent_id="agt_2"), resealed(urgency=Urgency.HIGH), resealed(reason="else"),
        resealed(target=None), resealed(target=replace(BOUND, id="tgt_2")),
        resealed(target=replace(BOUND, name="mail")), resealed(action=PlainAction("send", {})),
        replace(REQUEST, payload=b"{}", digest=digest(b"{}")),
        replace(REQUEST, payload=b"[]", digest=digest(b"[]")),
        replace(REQUEST, payload=b'{"v":1}', digest=digest(b'{"v":1}')),
        replace(REQUEST, agent_id="agt_2"), replace(REQUEST, action="send"),
        replace(REQUEST, target_id="tgt_2"), replace(REQUEST, target_name=None),
    ],
    ids=range(14),
)  # fmt: skip
def test_columns_and_payload_must_fit(changed: Request) -> None:
    vote = replace(VOTE, ballot=replace(VOTE.ballot, digest=changed.digest))
    with pytest.raises(Refusal) as refused:
        verify_payload(changed, [vote])
    assert refused.value.code == "payload_changed"


@pytest.mark.requirement("DEC-1", "T1")
def test_the_votes_must_be_there_and_for_this_payload() -> None:
    denial = replace(VOTE, ballot=replace(VOTE.ballot, choice=Choice.DENY))
    other = replace(VOTE, ballot=replace(VOTE.ballot, digest="0" * 64))
    cases: list[tuple[Request, list[Vote], str]] = [
        (REQUEST, [], "votes_missing"),
        (REQUEST, [denial], "votes_missing"),
        (replace(REQUEST, quorum=0), [], "votes_missing"),
        (replace(REQUEST, quorum=2), [VOTE], "votes_missing"),
        (REQUEST, [other], "payload_changed"),
        (REQUEST, [VOTE, other], "payload_changed"),
    ]
    for request, votes, code in cases:
        with pytest.raises(Refusal) as refused:
            verify_payload(request, votes)
        assert refused.value.code == code


@pytest.mark.requirement("KEY-1", "KEY-4")
def test_who_asked_must_still_be_in_order() -> None:
    verify_parties(AGENT, KEY, Instant(5))
    verify_parties(AGENT, replace(KEY, expires_at=Instant(6)), Instant(5))
    for agent, key, code in (
        (None, KEY, "agent_frozen"),
        (replace(AGENT, frozen=True), KEY, "agent_frozen"),
        (AGENT, None, "key_revoked"),
        (AGENT, replace(KEY, revoked_at=Instant(1)), "key_revoked"),
        (AGENT, replace(KEY, expires_at=Instant(5)), "key_expired"),
    ):
        with pytest.raises(Refusal) as refused:
            verify_parties(agent, key, Instant(5))
        assert refused.value.code == code


@pytest.mark.requirement("T3")
def test_the_target_must_be_the_one_that_was_approved() -> None:
    assert verify_target(SUBMISSION, TARGET) is TARGET
    for submission, target, code in (
        (SUBMISSION, None, "target_disabled"),
        (structs.replace(SUBMISSION, target=None), TARGET, "target_disabled"),
        (SUBMISSION, replace(TARGET, enabled=False), "target_disabled"),
        (SUBMISSION, replace(TARGET, revision=4), "target_changed"),
        (SUBMISSION, replace(TARGET, base_url="https://evil.example"), "target_changed"),
    ):
        with pytest.raises(Refusal) as refused:
            verify_target(submission, target)
        assert refused.value.code == code


@pytest.mark.requirement("EXE-1", "T1")
def test_the_plan_is_the_approved_call_within_the_targets_limits() -> None:
    plan = plan_of(SUBMISSION, TARGET)
    assert (plan.method, plan.path, plan.query, plan.headers, plan.body) == (
        "POST", "/x", "q=1", (("x-tag", "v"),), b"{}",
    )  # fmt: skip
    assert plan.base_url == BOUND.base_url
    assert (plan.networks, plan.connect_seconds, plan.total_seconds, plan.response_bytes) == (
        ("10.0.0.0/8",), 1, 2, 3,
    )  # fmt: skip
    with pytest.raises(Refusal):
        plan_of(structs.replace(SUBMISSION, action=PlainAction("send", {})), TARGET)


@pytest.mark.requirement("EXE-1", "T29")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_only_safe_methods_where_the_target_says_so_are_sent_again(method: str) -> None:
    submission = structs.replace(SUBMISSION, action=replace(CALL, method=method))
    assert is_idempotent(submission, TARGET) is (method in ("GET", "HEAD"))
    assert not is_idempotent(submission, replace(TARGET, settings=TargetSettings()))
    assert not is_idempotent(submission, None)


@pytest.mark.requirement("EXE-1")
@pytest.mark.parametrize(("succeeded", "kind"), [(True, ev.Succeed), (False, ev.Fail)])
def test_a_definite_answer_is_an_end(succeeded: bool, kind: type[ev.Event]) -> None:
    outcome = Outcome(succeeded, "ok", 12, HttpResult(200, (), b"secret body"))
    event: Any = reported(outcome, 7, SYSTEM)
    assert event.__class__ is kind
    assert event.fence == 7
    assert json.loads(event.outcome) == {
        "code": "ok", "status": 200, "duration_ms": 12, "bytes": 11, "truncated": False,
    }  # fmt: skip


@pytest.mark.requirement("EXE-1")
@pytest.mark.parametrize(
    ("retryable", "attempt", "kind"),
    [
        (True, 1, ev.Release), (True, MAX_ATTEMPTS - 1, ev.Release),
        (True, MAX_ATTEMPTS, ev.Fail), (False, 1, ev.Fail),
    ],
)  # fmt: skip
def test_what_was_not_sent_is_tried_a_few_times(
    retryable: bool, attempt: int, kind: type[ev.Event]
) -> None:
    problem = NotStarted("refused", "x" * 900, retryable=retryable)
    event: Any = not_started(problem, replace(REQUEST, attempt=attempt), SYSTEM)
    assert event.__class__ is kind
    assert event.fence == 7
    assert json.loads(event.outcome) == {"code": "refused", "detail": "x" * 500}


@pytest.mark.requirement("EXE-1", "T29")
@pytest.mark.parametrize("idempotent", [True, False])
def test_doubt_is_loss(idempotent: bool) -> None:
    event: Any = in_doubt(Ambiguous("cut", "d"), 7, SYSTEM, idempotent=idempotent)
    assert type(event) is ev.Lose
    assert (event.fence, event.idempotent) == (7, idempotent)
