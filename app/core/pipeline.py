"""From policies and facts to a verdict: pure, total, independent of the order of insertion.

All rules of all enabled policies stand in one line: by priority (lower numbers first), then deny
before review before allow, then policy id, then the rule's place in its policy. The first rule
that matches decides; none means review. A rule that can't be decided is skipped when it would
allow; when it would deny or review, the verdict is review, unless a rule further down the line
that decides says deny: so putting a deny first never loosens.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from app.core.canonical import canonical
from app.core.errors import Unavailable
from app.core.explanation import Explanation, explain
from app.core.facts import Facts
from app.core.policy import Effect, Policy
from app.core.policy_index import Bucket, Classifier, PatternClass, remember
from app.core.risk import Assessor
from app.core.verdict import (
    NO_MATCH,
    POLICY_ERROR,
    Entry,
    Verdict,
    entry_of,
    failed,
    in_line,
    stricter,
    weighed,
)

__all__ = (
    "NO_MATCH",
    "POLICY_ERROR",
    "Explanation",
    "PolicySet",
    "Verdict",
    "evaluate",
    "explain",
)

_PASSING: Final = (b"counters", b"remote_ip")
"""Facts that are not on record: what they were at submission cannot be said later."""

_Key: TypeAlias = tuple[PatternClass, PatternClass, PatternClass]


class PoliciesChanged(Unavailable):
    """The policies were changed at this moment; nothing was done. Try again."""

    code = "policies_changed"


class PolicySet:
    """An immutable, indexed set of policies; made by :meth:`compile`, swapped as a whole.

    :ivar repeatable: whether the record of a request is enough to judge it again just as it was.
    """

    __slots__ = (
        "_actions",
        "_agents",
        "_buckets",
        "_by_action",
        "_entries",
        "_targets",
        "assessor",
        "policies",
        "repeatable",
        "revision",
        "uses_counters",
        "uses_rates",
    )

    def __init__(self, policies: Sequence[Policy], revision: int) -> None:
        """Use :meth:`compile`."""
        self.policies = tuple(policies)
        self.revision = revision
        self._entries = tuple(
            entry_of(policy, rule) for policy, rule in in_line(self.policies) if policy.enabled
        )
        self.uses_counters = any(entry.rule.uses_counters() for entry in self._entries)
        self.uses_rates = any(
            duty.kind == "rate_limit" for entry in self._entries for duty in entry.rule.obligations
        )
        enabled = [canonical(policy.document) for policy in self.policies if policy.enabled]
        self.repeatable = not any(word in text for text in enabled for word in _PASSING)
        self.assessor = Assessor([(p.scope, p.risk) for p in self.policies if p.enabled])
        scopes = [policy.scope for policy in self.policies if policy.enabled]
        self._actions = Classifier(glob for scope in scopes for glob in scope.actions)
        self._agents = Classifier(glob for scope in scopes for glob in scope.agents)
        self._targets = Classifier(glob for scope in scopes for glob in scope.targets)
        self._by_action = dict[str, list[int]]()
        for place, entry in enumerate(self._entries):
            for glob in set(entry.policy.scope.actions) or {""}:
                self._by_action.setdefault(glob, []).append(place)
        self._buckets = dict[object, Bucket[Entry]]()

    @classmethod
    def compile(cls, policies: Iterable[Policy], revision: int) -> "PolicySet":
        """Return the index over policies; their order makes no difference."""
        return cls(sorted(policies, key=lambda policy: policy.id), revision)

    def candidates(self, facts: Facts) -> tuple[Entry, ...]:
        """Return the rules in scope, in line, without those that are certainly False."""
        key = (
            self._actions.of(facts.action),
            self._agents.of(facts.agent_name),
            self._targets.of(facts.target),
        )
        bucket = self._buckets.get(key)
        return (bucket if bucket is not None else self._fill(key)).select(facts)

    def _fill(self, key: _Key) -> Bucket[Entry]:
        places = set(self._by_action.get("", ()))
        for pattern in key[0].patterns:
            places.update(self._by_action[pattern])
        entries = (self._entries[place] for place in sorted(places))
        inside = (entry for entry in entries if _reaches(entry, key))
        return remember(self._buckets, key, Bucket(inside))


def _reaches(entry: Entry, key: _Key) -> bool:
    scope = entry.policy.scope
    agents = not scope.agents or not key[1].patterns.isdisjoint(scope.agents)
    return agents and (not scope.targets or not key[2].patterns.isdisjoint(scope.targets))


def evaluate(policies: PolicySet, facts: Facts) -> Verdict:
    """Return the verdict of the policies on the facts. Never raises; any error is review.

    (Or a denial, where nobody can be asked.)
    """
    try:
        verdict = _decide(policies.candidates(facts), facts)
        return weighed(verdict, policies.assessor, facts)
    except Exception:  # noqa: BLE001 (fail closed: whatever it is, a human looks)
        return failed(facts)


def _decide(entries: Iterable[Entry], facts: Facts) -> Verdict:
    pending: Verdict | None = None
    for entry in entries:
        result = entry.check(facts)
        if result is False:
            continue
        if result is True:
            return entry.verdict if pending is None else stricter(pending, entry.verdict)
        if pending is None and entry.effect is not Effect.ALLOW:
            pending = entry.undecided(facts)
    return pending or NO_MATCH
