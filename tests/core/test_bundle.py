"""Bundles as values: what is read, what may run, and what the counts say."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.action import (
    BoundTarget,
    BundleAction,
    BundleItem,
    HttpAction,
    Kind,
    OnFailure,
    Submission,
    Urgency,
    seal,
    unseal,
)
from app.core.bundle import (
    DONE,
    CallState,
    CallStatus,
    become,
    calls_by_target,
    common_target,
    consequences,
    excluded_by,
    goes_on,
    left_to_run,
    opened,
    read_bundle,
    summary,
    whole,
    with_status,
)
from app.core.canonical import digest
from app.core.card import card_of
from app.core.errors import InvalidAction
from app.core.execution import Refusal
from app.core.instant import Instant
from app.core.request import TERMINAL, Ballot, Choice, Status, Vote
from tests.core.test_execution import REQUEST

pytestmark = pytest.mark.requirement("REQ-8")

ONE = BoundTarget("tgt_1", "one", "https://one.example", 1)
TWO = BoundTarget("tgt_2", "two", "https://two.example", 4)


def a_bundle(count: int = 3, on_failure: OnFailure = OnFailure.STOP) -> BundleAction:
    calls = (HttpAction("POST", f"/{n}", "", (), b"{}") for n in range(1, count + 1))
    return BundleAction(tuple(BundleItem(call, ONE, "a note") for call in calls), on_failure)


def a_submission(bundle: BundleAction) -> Submission:
    return Submission("agt_1", bundle, common_target(bundle), Urgency.NORMAL, "why", {})


def states(*statuses: CallStatus) -> list[CallState]:
    return [CallState("req_1", n, "tgt_1", status) for n, status in enumerate(statuses, 1)]


def test_the_envelope_reads_back_and_binds_every_call() -> None:
    bundle = replace(a_bundle(), items=(*a_bundle().items, BundleItem(
        HttpAction("PUT", "/x", "a=1", (("a", "b"),), b"\xff"), TWO)))  # fmt: skip
    submission = a_submission(bundle)
    assert unseal(seal(submission)) == submission and submission.target is None
    moved = replace(TWO, revision=5)
    other = replace(bundle, items=(*bundle.items[:3], replace(bundle.items[3], target=moved)))
    assert seal(a_submission(other)) != seal(submission)
    payload = seal(submission)
    request = replace(REQUEST, kind=Kind.BUNDLE, payload=payload, digest=digest(payload))
    assert calls_by_target(request) == {"tgt_1": 3, "tgt_2": 1}
    assert [state.number for state in opened(request)] == [1, 2, 3, 4]


def test_every_call_is_on_the_card_in_full() -> None:
    card = card_of(a_submission(a_bundle(2)), ())
    assert card.headline == "2 calls (POST) at one" and card.verb == "2 calls"
    assert [(block.call, block.title) for block in card.blocks] == [
        (1, "1. Call"), (1, "1. Body"), (1, "1. The agent's note"),
        (2, "2. Call"), (2, "2. Body"), (2, "2. The agent's note"),
    ]  # fmt: skip
    assert card.blocks[3].text == "POST https://one.example/2"


@pytest.mark.parametrize("calls", [None, [], [1], [[]], [{"method": "GET"}], {"x": 1}])
def test_what_is_no_bundle(calls: Any) -> None:
    with pytest.raises(InvalidAction):
        read_bundle({"calls": calls}, "one")


def test_an_envelope_without_targets_is_broken() -> None:
    document = json.loads(seal(a_submission(a_bundle(1))))
    document["params"]["calls"][0]["target"] = None
    with pytest.raises(ValueError, match="no target"):
        unseal(json.dumps(document).encode())


def test_one_approval_is_enough_to_leave_a_call_out() -> None:
    def vote(choice: Choice, *excluded: int) -> Vote:
        return Vote("req_1", "per", Ballot(choice, "", "", "api", excluded=excluded), Instant(0))

    votes = [vote(Choice.APPROVE, 1), vote(Choice.APPROVE), vote(Choice.DENY, 3)]
    assert excluded_by(votes) == {1}


def test_the_counts_say_what_is() -> None:
    ok, out, bad = CallStatus.SUCCEEDED, CallStatus.EXCLUDED, CallStatus.FAILED
    assert json.loads(summary(states(ok, out))) == {
        "code": "ok", "calls": 2, "succeeded": 1, "excluded": 1,
    }  # fmt: skip
    assert json.loads(summary(states(ok, bad)))["code"] == "calls_failed"
    assert json.loads(summary(states(ok, CallStatus.UNKNOWN)))["code"] == "outcome_unknown"
    assert json.loads(summary(states(ok, CallStatus.WAITING)))["code"] == "in_progress"


@given(st.lists(st.sampled_from(CallStatus), min_size=1, max_size=6), st.sampled_from(Status))
def test_nothing_waits_at_an_end(found: list[CallStatus], status: Status) -> None:
    after = with_status(states(*found), consequences(status))
    if status in TERMINAL or status is Status.UNKNOWN:
        assert CallStatus.WAITING not in {state.status for state in after}
    for before, state in zip(found, after, strict=True):
        assert state.status is before or before in (CallStatus.WAITING, CallStatus.SENT)


ENDS = ("succeeded", "failed", "doubt", "not started", "lost before sent", "lost after sent")


class Runner:
    """Claims, runs and crashes as a worker does, with what the votes and the record say."""

    def __init__(self, bundle: BundleAction, out: frozenset[int], ends: list[str]) -> None:
        self.bundle, self.out, self.ends = bundle, out, iter(ends)
        self.stored = states(*[CallStatus.WAITING] * len(bundle.items))
        self.sent: list[int] = []
        self.advanced: list[int] = []

    def put(self, number: int, status: CallStatus) -> None:
        self.stored[number - 1] = become(self.stored[number - 1], status)

    def end(self, status: Status) -> bool:
        self.stored = with_status(self.stored, consequences(status))
        return False

    def claim(self) -> bool:
        """Run under one claim; return whether there is to be another."""
        try:
            left = left_to_run(self.bundle, self.stored, self.out, self.advanced)
        except Refusal:
            assert not {state.number for state in self.stored} - self.out - set(self.advanced)
            return False
        for number in self.out:
            self.put(number, CallStatus.EXCLUDED)
        for number in left:
            end = next(self.ends, None)
            if end in (None, "not started", "lost before sent"):
                return end is not None
            if not self.run(number, str(end)):
                return False
        return False

    def run(self, number: int, end: str) -> bool:
        """Send one call; return whether the next one may run."""
        self.sent.append(number)
        if end in ("doubt", "lost after sent"):
            self.put(number, CallStatus.UNKNOWN)
            return self.end(Status.UNKNOWN)
        became = CallStatus(end)
        self.put(number, became)
        self.advanced.append(number)
        return goes_on(self.bundle, became) or self.end(Status.FAILED)


@given(
    st.lists(st.sampled_from(ENDS), min_size=1, max_size=25),
    st.integers(1, 6),
    st.sampled_from(OnFailure),
    st.sets(st.integers(1, 6)),
)
def test_no_call_runs_twice_whatever_happens(
    ends: list[str], count: int, on_failure: OnFailure, excluded: set[int]
) -> None:
    out = frozenset(excluded & set(range(1, count + 1)))
    runner = Runner(a_bundle(count, on_failure), out, ends)
    while runner.claim():
        pass
    sent, stored = runner.sent, runner.stored
    assert sent == sorted(set(sent)), "twice, or out of order"
    assert not out.intersection(sent)
    stops = {CallStatus.UNKNOWN}
    if on_failure is OnFailure.STOP:
        stops.add(CallStatus.FAILED)
    stopped = [state.number for state in stored if state.status in stops]
    assert not stopped or sent[-1:] == stopped, "something ran after the stop"
    assert set(runner.advanced) == {state.number for state in stored if state.status in DONE}
    assert not whole(stored) or sent == [n for n in range(1, count + 1) if n not in out]
