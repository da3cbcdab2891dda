"""The verdict on an action, and the line in which rules are tried."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from app.core.conditions.base import Check, Condition
from app.core.facts import Facts
from app.core.graphql import may_be_graphql
from app.core.obligations import MASKED_KINDS
from app.core.paths import WEBSOCKET
from app.core.policy import DEFAULT_ROUTE, Effect, Obligation, Policy, Route, Rule
from app.core.risk import Assessor, Risk, raised

_STRICTNESS: Final = {Effect.DENY: 0, Effect.REVIEW: 1, Effect.ALLOW: 2}
_SHOWN: Final = 3
_CANNOT_MASK: Final = "the rule masks results, and those of this kind of action do not come here"

_UNSEEN: Final = (
    "nobody can approve or mask what will be said over a WebSocket: a policy has to allow it"
)

_MAY_RENAME: Final = (
    "the rule masks fields by name, and this call may be GraphQL, which names them as it likes"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policies say about one action, and why."""

    effect: Effect
    policy_id: str | None
    policy_name: str | None
    policy_version: int | None
    rule: str | None
    reasons: tuple[str, ...]
    obligations: tuple[Obligation, ...] = ()
    route: Route = DEFAULT_ROUTE
    tags: tuple[str, ...] = ()
    risk: Risk | None = None


NO_MATCH: Final = Verdict(Effect.REVIEW, None, None, None, None, ("no policy matched",))
"""The verdict when no rule matches."""

POLICY_ERROR: Final = Verdict(Effect.REVIEW, None, None, None, None, ("policy_error",))
"""The verdict when evaluation itself fails."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One rule of one enabled policy in the line, ready to be tried."""

    policy: Policy
    rule: Rule
    check: Check
    effect: Effect
    verdict: Verdict

    @property
    def match(self) -> Condition:
        """The rule's condition tree."""
        return self.rule.match

    def undecided(self, facts: Facts) -> Verdict:
        """Return the review that follows when this rule can't be decided."""
        unknown = [leaf.text for leaf in self.rule.match.leaves() if leaf.matches(facts) is None]
        causes = "; ".join(unknown[:_SHOWN]) or "its conditions"
        name = f"rule {self.rule.name!r} of policy {self.policy.name!r}"
        reason = f"{name} ({self.effect}) could not be decided: {causes}"
        return replace(self.verdict, effect=Effect.REVIEW, reasons=(reason,))


def in_line(policies: Iterable[Policy]) -> Iterator[tuple[Policy, Rule]]:
    """Yield every rule of every policy, disabled ones too, in the order of evaluation."""
    ranked = (
        ((policy.priority, _STRICTNESS[rule.effect], policy.id, at), policy, rule)
        for policy in policies
        for at, rule in enumerate(policy.rules)
    )
    for _, policy, rule in sorted(ranked, key=lambda item: item[0]):
        yield policy, rule


def entry_of(policy: Policy, rule: Rule) -> Entry:
    """Return the entry of a rule, with the verdict that it gives when it matches."""
    reason = rule.reason or f"rule {rule.name!r} of policy {policy.name!r} matched"
    verdict = Verdict(
        effect=rule.effect,
        policy_id=policy.id,
        policy_name=policy.name,
        policy_version=policy.version,
        rule=rule.name,
        reasons=(reason,),
        obligations=rule.obligations,
        route=rule.route,
        tags=rule.tags,
    )
    return Entry(policy, rule, rule.match.matches, rule.effect, verdict)


def _beyond(verdict: Verdict, facts: Facts) -> bool:
    return facts.kind not in MASKED_KINDS and any(
        duty.kind == "redact" for duty in verdict.obligations
    )


def _unseen(verdict: Verdict, facts: Facts) -> bool:
    """Whether a person would approve, or a rule mask, messages that do not exist yet."""
    read = getattr(facts.http, "get", None)
    if read is None or read("method") != WEBSOCKET:
        return False
    masks = any(duty.kind == "redact" for duty in verdict.obligations)
    return masks or verdict.effect is Effect.REVIEW


def failed(facts: Facts) -> Verdict:
    """Return the verdict when evaluation itself fails: people are asked, where they can be."""
    with suppress(Exception):
        if _unseen(POLICY_ERROR, facts):
            reasons = (*POLICY_ERROR.reasons, _UNSEEN)
            return replace(POLICY_ERROR, effect=Effect.DENY, reasons=reasons)
    return POLICY_ERROR


def _renamed(verdict: Verdict, facts: Facts) -> bool:
    """Whether the answer may call what the rule masks by name something else (GraphQL aliases)."""
    named = any(duty.kind == "redact" and duty.parameters.get("fields")
                for duty in verdict.obligations)  # fmt: skip
    return named and may_be_graphql(facts.http)


def stricter(pending: Verdict, decided: Verdict) -> Verdict:
    """Return what follows when an undecided rule stands before one that matches."""
    if decided.effect is not Effect.DENY:
        return pending
    return replace(decided, reasons=(*decided.reasons, *pending.reasons))


def weighed(verdict: Verdict, assessor: Assessor, facts: Facts) -> Verdict:
    """Return a review with its risk, and with what that raises; any other verdict as it is.

    A WebSocket is allowed by policy or not at all: nobody can approve what will be said.

    A duty that nobody can fulfil for this kind of action turns the verdict into a denial; one that
    may not hold, because a query names its answer's fields, asks a person.
    """
    if verdict.effect is Effect.DENY:
        return verdict
    if verdict.obligations and _beyond(verdict, facts):
        return replace(verdict, effect=Effect.DENY, reasons=(*verdict.reasons, _CANNOT_MASK))
    if facts.http is not None and _unseen(verdict, facts):
        return replace(verdict, effect=Effect.DENY, reasons=(*verdict.reasons, _UNSEEN))
    if verdict.obligations and _renamed(verdict, facts):
        reasons = (*verdict.reasons, _MAY_RENAME)
        verdict = replace(verdict, effect=Effect.REVIEW, reasons=reasons)
    if verdict.effect is not Effect.REVIEW or not assessor:
        return verdict
    risk = assessor.assess(facts)
    return replace(verdict, risk=risk, route=raised(verdict.route, risk))
