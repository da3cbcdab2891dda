"""The table of a request's life, as a state machine and row by row."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.core import events as ev
from app.core.action import Kind, PlainAction, Submission, Urgency, seal, unseal
from app.core.audit import SYSTEM, Actor, ActorKind
from app.core.canonical import digest
from app.core.errors import AlreadyDecided, AssentryError, IllegalTransition, RequestExpired
from app.core.instant import SECOND, Instant, plus
from app.core.jobs import JobKind
from app.core.lifecycle import MAX_ATTEMPTS, TABLE, Transition, open_request, step
from app.core.policy import Effect
from app.core.request import TERMINAL, Ballot, Choice, Request, Status

START = Instant(1_700_000_000 * SECOND)
AGENT = Actor(ActorKind.AGENT, "agt_1", "robot")
ANNE = Actor(ActorKind.PERSON, "per_anne", "Anne")


def a_request(effect: Effect = Effect.REVIEW, quorum: int = 1, kind: Kind = Kind.HTTP) -> Request:
    payload = seal(Submission("agt_1", PlainAction("send", {}), None, Urgency.NORMAL, "", {}))
    return Request(
        id="req_1", agent_id="agt_1", key_id="key_1", owner_id="per_owner", kind=kind,
        action="send", target_id=None, target_name=None, urgency=Urgency.NORMAL, reason="",
        payload=payload, digest=digest(payload), effect=effect, verdict="{}", quorum=quorum,
        owner_may_decide=None, route="", require_reason=False, valid_for=600,
        created_at=START, expires_at=plus(START, 3600), status=Status.PENDING,
    )  # fmt: skip


def ballot(request: Request, choice: Choice = Choice.APPROVE) -> Ballot:
    return Ballot(choice, request.digest, "", "api")


def approve(request: Request, actor: Actor = ANNE) -> ev.Approve:
    return ev.Approve(actor, ballot(request), filled=request.approvals + 1)


def opened(effect: Effect = Effect.REVIEW, quorum: int = 1, kind: Kind = Kind.HTTP) -> Request:
    return open_request(a_request(effect, quorum, kind), AGENT, START).after


def claimed(at: Instant = START) -> Request:
    request = opened(Effect.ALLOW)
    return step(request, ev.Claim(SYSTEM, "w1", 60.0), at).after


def sent(request: Request, at: Instant = START) -> Request:
    return replace(request, sent_at=at)


@pytest.mark.requirement("REQ-6")
class TestRows:
    def test_allowed_is_approved_with_an_execute_job(self) -> None:
        transition = open_request(a_request(Effect.ALLOW), AGENT, START)
        assert (transition.row, transition.after.status) == (1, Status.APPROVED)
        assert JobKind.EXECUTE in {job.kind for job in transition.jobs}
        assert transition.after.valid_until == plus(START, 600)

    def test_inline_and_plain_leave_no_execute_job(self) -> None:
        inline = open_request(a_request(Effect.ALLOW), AGENT, START, inline=True)
        plain = open_request(a_request(Effect.ALLOW, kind=Kind.PLAIN), AGENT, START)
        for transition in (inline, plain):
            assert JobKind.EXECUTE not in {job.kind for job in transition.jobs}

    def test_denied_and_reviewed(self) -> None:
        assert opened(Effect.DENY).status is Status.DENIED
        assert opened(Effect.REVIEW).status is Status.PENDING

    def test_quorum_counts_votes_until_it_is_met(self) -> None:
        first = step(opened(quorum=2), approve(opened()), START)
        assert (first.row, first.after.status, first.after.approvals) == (4, Status.PENDING, 1)
        assert first.audit.event == "request.voted"
        second = step(first.after, approve(first.after), START)
        assert (second.row, second.after.status) == (5, Status.APPROVED)
        assert second.after.decided_by == "person:per_anne"

    def test_a_denial_ends_it(self) -> None:
        request = opened(quorum=3)
        denial = step(request, ev.Deny(ANNE, ballot(request, Choice.DENY)), START)
        assert denial.after.status is Status.DENIED
        with pytest.raises(AlreadyDecided) as refused:
            step(denial.after, approve(request), START)
        assert refused.value.extra["status"] == "denied"

    def test_a_vote_at_the_very_end_is_too_late(self) -> None:
        request = opened()
        step(request, approve(request), Instant(request.expires_at - 1))
        with pytest.raises(RequestExpired):
            step(request, approve(request), request.expires_at)

    def test_expiry_waits_for_its_time(self) -> None:
        request = opened()
        with pytest.raises(IllegalTransition):
            step(request, ev.Expire(SYSTEM), Instant(request.expires_at - 1))
        assert step(request, ev.Expire(SYSTEM), request.expires_at).after.status is Status.EXPIRED

    def test_a_grant_lapses_and_cannot_be_claimed_then(self) -> None:
        request = opened(Effect.ALLOW)
        assert request.valid_until is not None
        with pytest.raises(IllegalTransition):
            step(request, ev.Claim(SYSTEM, "w1", 60.0), request.valid_until)
        assert step(request, ev.Expire(SYSTEM), request.valid_until).row == 11

    def test_plain_actions_are_never_claimed(self) -> None:
        with pytest.raises(IllegalTransition):
            step(opened(Effect.ALLOW, kind=Kind.PLAIN), ev.Claim(SYSTEM, "w1", 60.0), START)


@pytest.mark.requirement("EXE-1", "T29")
class TestExecution:
    def test_only_the_holder_reports(self) -> None:
        request = claimed()
        for event in (ev.Succeed, ev.Fail, ev.Release):
            with pytest.raises(IllegalTransition):
                step(request, event(SYSTEM, request.fence - 1), START)
            step(request, event(SYSTEM, request.fence), START)

    def test_lost_before_sent_is_tried_again(self) -> None:
        request = claimed()
        assert request.lease_until is not None
        transition = step(request, ev.Lose(SYSTEM, -1), request.lease_until)
        assert (transition.row, transition.after.status) == (17, Status.APPROVED)
        assert [job.kind for job in transition.jobs] == [JobKind.EXECUTE]

    def test_what_was_never_sent_is_never_unknown(self) -> None:
        request = replace(claimed(), attempt=MAX_ATTEMPTS + 5)
        assert request.lease_until is not None
        transition = step(request, ev.Lose(SYSTEM, -1), request.lease_until)
        assert (transition.row, transition.after.status) == (17, Status.APPROVED)

    def test_lost_after_sent_is_unknown(self) -> None:
        request = sent(claimed())
        assert request.lease_until is not None
        with pytest.raises(IllegalTransition):
            step(request, ev.Lose(SYSTEM, -1), START)
        transition = step(request, ev.Lose(SYSTEM, -1), request.lease_until)
        assert (transition.row, transition.after.status) == (16, Status.UNKNOWN)

    def test_the_holder_may_give_up_at_once(self) -> None:
        request = sent(claimed())
        assert step(request, ev.Lose(SYSTEM, request.fence), START).row == 16

    def test_an_idempotent_one_is_repeated_a_few_times(self) -> None:
        request = sent(claimed())
        again = step(request, ev.Lose(SYSTEM, request.fence, None, idempotent=True), START)
        assert again.row == 17
        last = replace(request, attempt=MAX_ATTEMPTS)
        assert step(last, ev.Lose(SYSTEM, last.fence, None, idempotent=True), START).row == 16

    @pytest.mark.requirement("REQ-8")
    def test_a_bundle_advances_and_what_came_before_is_no_doubt_any_more(self) -> None:
        request = sent(claimed())
        with pytest.raises(IllegalTransition):
            step(request, ev.Advance(SYSTEM, request.fence - 1, None, 1, "succeeded", 60.0), START)
        later = plus(START, 30)
        ahead = step(request, ev.Advance(SYSTEM, request.fence, "{}", 1, "failed", 60.0), later)
        assert (ahead.row, ahead.after.status, ahead.jobs) == (19, Status.EXECUTING, ())
        assert (ahead.after.sent_at, ahead.after.lease_until) == (None, plus(later, 60))
        assert ahead.audit.event == "request.advanced"
        assert ahead.audit.details["number"] == 1 and ahead.audit.details["became"] == "failed"
        lost = step(ahead.after, ev.Lose(SYSTEM, -1), plus(later, 60))
        assert (lost.row, lost.after.status) == (17, Status.APPROVED)

    @pytest.mark.requirement("REQ-8")
    def test_a_bundle_has_jobs_of_its_own(self) -> None:
        transition = open_request(a_request(Effect.ALLOW, kind=Kind.BUNDLE), AGENT, START)
        assert [job.kind for job in transition.jobs] == [JobKind.BUNDLE, JobKind.ANNOUNCE]

    @pytest.mark.requirement("REQ-8")
    def test_a_bundle_that_ran_in_part_has_failed(self) -> None:
        unknown = step(sent(claimed()), ev.Lose(SYSTEM, 1), START).after
        event = ev.Settle(ANNE, ran=True, note="seen", outcome="{}", complete=False)
        settled = step(unknown, event, START)
        assert (settled.row, settled.after.status) == (18, Status.FAILED)
        assert settled.audit.details["ran"] is True

    def test_unknown_is_settled_by_a_person(self) -> None:
        unknown = step(sent(claimed()), ev.Lose(SYSTEM, 1), START).after
        assert step(unknown, ev.Settle(ANNE, ran=True, note="seen"), START).after.status is (
            Status.SUCCEEDED
        )
        assert step(unknown, ev.Settle(ANNE, ran=False, note="not"), START).after.status is (
            Status.FAILED
        )


def test_every_pair_outside_the_table_is_refused() -> None:
    events: list[ev.Event] = [
        ev.Approve(ANNE, ballot(opened())), ev.Deny(ANNE, ballot(opened())), ev.Escalate(SYSTEM),
        ev.Expire(SYSTEM), ev.Cancel(AGENT), ev.Claim(SYSTEM, "w", 1.0), ev.Release(SYSTEM, 0),
        ev.Succeed(SYSTEM, 0), ev.Fail(SYSTEM, 0), ev.Lose(SYSTEM, 0),
        ev.Settle(ANNE, ran=True, note=""), ev.Advance(SYSTEM, 0),
    ]  # fmt: skip
    known = {(row.source, row.event) for row in TABLE}
    for status in Status:
        for event in events:
            if (status, type(event)) in known:
                continue
            with pytest.raises(AssentryError):
                step(replace(opened(), status=status), event, START)


@given(st.text(max_size=50), st.dictionaries(st.text(max_size=5), st.integers(-9, 9)))
def test_the_envelope_reads_back(reason: str, params: dict[str, int]) -> None:
    if any("\ud800" <= c <= "\udfff" or c == "\x00" for c in reason + "".join(params)):
        return
    submission = Submission(
        "agt_1", PlainAction("send", params), None, Urgency.HIGH, reason, {"k": [1, None]}
    )
    assert unseal(seal(submission)) == submission


class Life(RuleBasedStateMachine):
    """Random events at random times; the model keeps what must never be undone."""

    @initialize(
        effect=st.sampled_from(Effect), quorum=st.integers(1, 3), kind=st.sampled_from(Kind)
    )
    def submit(self, effect: Effect, quorum: int, kind: Kind) -> None:
        self.now = START
        self.votes: set[str] = set()
        self.denied = self.was_final = False
        self.executes = 0
        self.effect = effect
        self.take(open_request(a_request(effect, quorum, kind), AGENT, self.now))

    def take(self, transition: Transition) -> None:
        self.executes += sum(
            job.kind in (JobKind.EXECUTE, JobKind.BUNDLE) for job in transition.jobs
        )
        self.request = transition.after
        self.was_final = self.request.status in TERMINAL

    def attempt(self, event: ev.Event) -> bool:
        before = self.request
        try:
            transition = step(before, event, self.now)
        except AssentryError:
            return False
        assert before.status not in TERMINAL
        assert transition.after.version == before.version + 1
        assert transition.after.payload == before.payload
        self.take(transition)
        return True

    @rule(seconds=st.integers(0, 2000))
    def wait(self, seconds: int) -> None:
        self.now = plus(self.now, seconds)

    @rule(voter=st.sampled_from(["a", "b", "c", "d"]), yes=st.booleans())
    def vote(self, voter: str, yes: bool) -> None:
        if voter in self.votes:
            return
        actor = Actor(ActorKind.PERSON, f"per_{voter}")
        event = (ev.Approve if yes else ev.Deny)(actor, ballot(self.request))
        if self.attempt(event):
            self.votes.add(voter)
            self.denied = self.denied or not yes

    @rule()
    def claim(self) -> None:
        if self.attempt(ev.Claim(SYSTEM, "w", 60.0)):
            assert self.executes > 0
            self.executes -= 1

    @precondition(lambda self: self.request.status is Status.EXECUTING)
    @rule()
    def send(self) -> None:
        self.request = sent(self.request, self.now)

    @rule(kind=st.sampled_from([ev.Succeed, ev.Fail, ev.Release, ev.Lose]), stale=st.booleans())
    def report(self, kind: type[ev.Event], stale: bool) -> None:
        fence = self.request.fence - stale
        was_sent = self.request.sent_at is not None
        assert issubclass(kind, ev.Succeed | ev.Fail | ev.Release | ev.Lose)
        if self.attempt(kind(SYSTEM, fence)) and kind is ev.Lose and was_sent:
            assert self.request.status is Status.UNKNOWN

    @rule(stale=st.booleans())
    def advance(self, stale: bool) -> None:
        event = ev.Advance(SYSTEM, self.request.fence - stale, "{}", 1, "succeeded", 60.0)
        if self.attempt(event):
            assert not stale and self.request.sent_at is None

    @rule()
    def expire(self) -> None:
        self.attempt(ev.Expire(SYSTEM))

    @rule()
    def cancel(self) -> None:
        self.attempt(ev.Cancel(AGENT))

    @rule(ran=st.booleans())
    def settle(self, ran: bool) -> None:
        self.attempt(ev.Settle(ANNE, ran=ran, note="looked"))

    @invariant()
    def approval_needs_a_quorum_or_a_policy(self) -> None:
        granted = {Status.APPROVED, Status.EXECUTING, Status.SUCCEEDED, Status.UNKNOWN}
        if self.request.status in granted and self.effect is not Effect.ALLOW:
            assert len(self.votes) >= self.request.quorum
            assert self.effect is Effect.REVIEW

    @invariant()
    def a_denial_is_final(self) -> None:
        if self.denied:
            assert self.request.status is Status.DENIED


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
