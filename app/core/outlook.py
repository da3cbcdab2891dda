"""What the policies do with calls of one kind, as far as that can be said before a call is made.

Only what is the same for all such calls is known: action, agent, target and method. A condition
on anything else is open, so the answer may be several outcomes; it never promises more than
:func:`app.core.pipeline.evaluate` keeps.
"""

from collections.abc import Iterable
from typing import Final

from app.core.action import HTTP_REQUEST
from app.core.conditions.base import Condition, Tri
from app.core.conditions.glob import plain_glob
from app.core.facts import Facts, Path
from app.core.instant import Instant
from app.core.pipeline import PolicySet
from app.core.policy import Effect, Scope
from app.core.verdict import in_line

_KNOWN: Final[frozenset[Path]] = frozenset(
    {("action",), ("kind",), ("agent", "name"), ("agent", "id"), ("target",), ("http", "method")}
)
_ALL: Final = frozenset({"all", "http"})


def outlook(
    policies: PolicySet, *, agent_id: str, agent_name: str, target: str, method: str
) -> tuple[Effect, ...]:
    """Return the effects that a call with this method at this target can have, without doubt.

    One alone is certain. Several are in the order allow, review, deny.
    """
    facts = _facts(agent_id, agent_name, target, method)
    found: set[Effect] = set()
    for policy, rule in in_line(policies.policies):
        if not policy.enabled or not _inside(policy.scope, facts):
            continue
        result = _tri(rule.match, facts)
        if result is not False:
            found.add(rule.effect)
        if result is True:
            break
    else:
        found.add(Effect.REVIEW)
    if len(found) > 1:
        found.add(Effect.REVIEW)  # what cannot be decided when the call is made is a review
    order = (Effect.ALLOW, Effect.REVIEW, Effect.DENY)
    return tuple(effect for effect in order if effect in found)


def _facts(agent_id: str, agent_name: str, target: str, method: str) -> Facts:
    return Facts(
        action=HTTP_REQUEST, kind="http", agent_id=agent_id, agent_name=agent_name,
        target=target, urgency="", reason="", params={}, context={}, http={"method": method},
        now=Instant(0),
    )  # fmt: skip


def _inside(scope: Scope, facts: Facts) -> bool:
    fields = (
        (scope.agents, facts.agent_name),
        (scope.targets, facts.target or ""),
        (scope.actions, facts.action),
    )
    return all(
        not globs or any(plain_glob(glob)(value) for glob in globs) for globs, value in fields
    )


def _tri(condition: Condition, facts: Facts) -> Tri:
    if condition.kind in _ALL:
        return _every(_tri(part, facts) for part in condition.children)
    if condition.kind == "any":
        result = _every(_not(_tri(part, facts)) for part in condition.children)
        return _not(result)
    if condition.kind == "not":
        return _not(_tri(condition.children[0], facts))
    return condition.matches(facts) if condition.path in _KNOWN else None


def _every(results: Iterable[Tri]) -> Tri:
    found = set(results)
    return False if False in found else None if None in found else True


def _not(result: Tri) -> Tri:
    return None if result is None else not result
