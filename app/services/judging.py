"""Whether today's policies still let through what was asked and decided before (T40)."""

import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Final, TypeAlias

from app.core.action import Submission
from app.core.ballots import Rules, counting
from app.core.bundle_verdict import Asking
from app.core.canonical import canonical
from app.core.execution import Refusal
from app.core.instant import plus
from app.core.pipeline import Verdict
from app.core.policy import Effect
from app.core.principals import Agent
from app.core.request import Request, Status, Vote, evolve
from app.core.routing import Voter, seats_of
from app.services.masks import check_masks
from app.services.policies import Policies
from app.store.tx import Tx

Cast: TypeAlias = tuple[Vote, Voter]
"""A vote and who cast it, as they are now."""

_TEXTS: Final = 256
"""Verdicts whose text is kept."""

OWNER_MAY_DECIDE: Final = "owner_may_decide"
"""Name of the installation's setting."""


@lru_cache(1024)
def judged_by(verdict: str) -> int:
    """Return the revision of the policies that a recorded verdict is of; -1 for none."""
    found = json.loads(verdict).get("revision")
    return found if isinstance(found, int) else -1


def verify_policies(
    tx: Tx,
    policies: Policies,
    request: Request,
    submission: Submission,
    agent: Agent,
    left: Collection[int] | None = None,
    vote: Cast | None = None,
) -> None:
    """Refuse what the policies in force do not let through.

    What they judged already is judged again as it was then, where that can be said: so what
    somebody wrote into the columns beside the payload gains nothing (T1).

    :param left: of a bundle, the calls that are still to run.
    :param vote: one that is about to be counted.
    :raises Refusal: they deny it, or ask for more than it has.
    """
    if judged_by(request.verdict) != policies.revision:
        counters = tx.requests.counters(agent.id) if policies.snapshot.uses_counters else {}
        by = Asking(agent, tx.now, None, counters)
        verify_verdict(tx, request, policies.judge(submission, by, left), vote)
    elif policies.snapshot.repeatable:
        by = Asking(agent, request.created_at, None, {})
        verify_verdict(tx, request, policies.judge(submission, by))


def verify_verdict(tx: Tx, request: Request, verdict: Verdict, vote: Cast | None = None) -> None:
    """Refuse what would not have today's verdict.

    :raises Refusal: it is a denial, or asks for more than the request has.
    """
    if verdict.effect is Effect.DENY:
        raise Refusal("policy_denies", "The policies in force deny it.")
    check_masks(request.verdict, verdict)
    lasts = verdict.route.valid_for
    if lasts and request.decided_at and tx.now >= plus(request.decided_at, lasts):
        raise Refusal("grant_over", "By the policies in force the approval is over.")
    if verdict.effect is not Effect.REVIEW:
        return
    if request.effect is Effect.ALLOW:
        raise Refusal("policy_reviews", "The policies in force want a person to decide.")
    if not satisfied(tx, request, verdict, vote):
        raise Refusal("policy_asks_more", "The policies in force ask for other approvals.")


def foreseen(
    tx: Tx, policies: Policies, request: Request, submission: Submission | None
) -> list[str]:
    """Return, for who is about to decide, why an approval would not let a request run."""
    agent = tx.agents.get(request.agent_id)
    if request.status is not Status.PENDING or agent is None or submission is None:
        return []
    if judged_by(request.verdict) == policies.revision:
        return []
    counters = tx.requests.counters(agent.id) if policies.snapshot.uses_counters else {}
    verdict = policies.judge(submission, Asking(agent, tx.now, None, counters))
    if verdict.effect is not Effect.DENY:
        return []
    by = f" (rule {verdict.rule} of {verdict.policy_name})" if verdict.policy_name else ""
    return [f"the policies in force deny this by now{by}: approved, it would not run"]


def satisfied(tx: Tx, request: Request, verdict: Verdict, vote: Cast | None = None) -> bool:
    """Whether the approvals of a request are enough for the verdict that it would have today."""
    route = verdict.route
    reason = any(duty.kind == "require_reason" for duty in verdict.obligations)
    same = (route.frozen, route.quorum, route.owner_may_decide)
    as_asked = same == (request.route, request.quorum, request.owner_may_decide)
    if as_asked and (request.require_reason or not reason):
        return True
    stage = min(request.stage, len(route.plan.steps))
    today = evolve(
        request,
        {"route": route.frozen, "owner_may_decide": route.owner_may_decide, "stage": stage},
    )
    rules = rules_of(tx, request)
    votes = [*votes_so_far(tx, request), *([vote] if vote else [])]
    told = [one for one in votes if not reason or one[0].ballot.comment.strip()]
    said = counting(today, told, rules, route.plan.assurance)
    return seats_of(route.plan.seats_at(stage), said) >= route.quorum


def votes_so_far(tx: Tx, request: Request) -> list[Cast]:
    """Return the votes so far with who cast them, as they are now."""
    if not request.approvals:
        return []
    return [
        (vote, tx.groups.voter(person, request.action))
        for vote in tx.requests.votes(request.id)
        if (person := tx.people.hold(vote.person_id)) is not None
    ]


def rules_of(tx: Tx, request: Request) -> Rules:
    """Return what the installation and the agent say about who decides, as of now."""
    return rules_from(tx.people.facts(), tx.agents.get(request.agent_id))


def rules_from(facts: Mapping[str, str], agent: Agent | None) -> Rules:
    """Return the same from what was read before."""
    return Rules(
        owner_may_decide=facts.get(OWNER_MAY_DECIDE) == "true",
        owner_id=None if agent is None else agent.owner_id,
    )


def verdict_text(verdict: Verdict, revision: int) -> str:
    """Return the verdict as it is kept with the request: canonical JSON."""
    if verdict.obligations or verdict.risk is not None:
        return _written(verdict, revision)
    place = (verdict.policy_id, verdict.policy_name, verdict.policy_version, verdict.rule)
    return _written_once(verdict.effect, place, verdict.reasons, verdict.tags, revision)


@lru_cache(_TEXTS)
def _written_once(
    effect: Effect,
    place: tuple[str | None, str | None, int | None, str | None],
    reasons: tuple[str, ...],
    tags: tuple[str, ...],
    revision: int,
) -> str:
    return _written(Verdict(effect, *place, reasons=reasons, tags=tags), revision)


def _written(verdict: Verdict, revision: int) -> str:
    policy = None
    if verdict.policy_id is not None:
        policy = {
            "id": verdict.policy_id,
            "name": verdict.policy_name,
            "version": verdict.policy_version,
        }
    return canonical(
        {
            "effect": verdict.effect.value,
            "policy": policy,
            "rule": verdict.rule,
            "reasons": list(verdict.reasons),
            "obligations": [{"kind": item.kind, **item.parameters} for item in verdict.obligations],
            "tags": list(verdict.tags),
            "revision": revision,
            **({} if verdict.risk is None else {"risk": verdict.risk.document()}),
        }
    ).decode()
