"""What one verdict costs: nanoseconds at 10 to 10,000 policies.

    python -m benchmarks.policies [--quick]

``spread``: policies over many actions, agents and customers, a few for everybody.
``one action``: all policies on one action, told apart by a customer number.
``new action``: an action name that was never seen before (cache miss), on the spread set.
``worst``: every policy applies to everything and compares a number, so all must be tried.
``naive``: the spread set without the index.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from statistics import median
from time import perf_counter_ns
from typing import Final

from msgspec.structs import replace

from app.core.facts import Facts
from app.core.instant import Instant
from app.core.pipeline import PolicySet, evaluate
from app.core.policy import Policy, parse_policy

SIZES: Final = (10, 100, 1_000, 10_000)
_ROUNDS: Final = 5
_TARGET_NS: Final = 20_000_000

_FACTS: Final = Facts(
    action="transfer_3",
    kind="plain",
    agent_id="agt_1",
    agent_name="billing-1",
    target="stripe",
    urgency="normal",
    reason="monthly run",
    params={"amount": 42, "currency": "EUR", "customer": "c3", "note": "for March"},
    context={},
    http=None,
    now=Instant(1_795_000_000_000_000),
    remote_ip="10.0.0.1",
)


def spread_policy(at: int) -> Policy:
    """Return a policy on an action of its own, one in twenty on a prefix of actions."""
    action = f"transfer_{at}" if at % 20 else f"batch_{at}_*"
    return _policy(
        at,
        {"agents": ["billing-*"], "actions": [action]},
        {"params.amount": {"gte": 0, "lt": 100}, "params.currency": {"in": ["EUR", "USD"]}},
    )


def crowded_policy(at: int) -> Policy:
    """Return a policy on the one action, for one customer."""
    match: dict[str, object] = {"params.customer": f"c{at}", "params.amount": {"lt": 100}}
    return _policy(at, {"actions": ["transfer_3"]}, match)


def worst_policy(at: int) -> Policy:
    """Return a policy that applies to everything and has to be tried."""
    return _policy(at, {}, {"params.amount": {"gt": 1_000 + at}})


def _policy(at: int, scope: dict[str, object], match: dict[str, object]) -> Policy:
    rule = {"name": "rule", "effect": "allow", "match": match}
    document = {"name": f"policy {at}", "scope": scope, "rules": [rule]}
    return parse_policy(document, id=f"pol_{at:05}", version=1)


def naive(policies: PolicySet, facts: Facts) -> None:
    """Try every policy of a set in turn, as a server without an index does."""
    for policy in policies.policies:
        if policy.scope.actions[0] == facts.action and policy.rules[0].match.matches(facts):
            return


def nanoseconds(call: Callable[[], object]) -> float:
    """Return the median nanoseconds of one call over some rounds."""
    call()
    start = perf_counter_ns()
    call()
    times = max(1, _TARGET_NS // max(1, perf_counter_ns() - start))
    return median(_round(call, times) for _ in range(_ROUNDS))


def _round(call: Callable[[], object], times: int) -> float:
    start = perf_counter_ns()
    for _ in range(times):
        call()
    return (perf_counter_ns() - start) / times


def rows(sizes: Sequence[int]) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield, for each number of policies, the cases and their nanoseconds."""
    for size in sizes:
        start = perf_counter_ns()
        spread = PolicySet.compile([spread_policy(at) for at in range(size)], 1)
        build = perf_counter_ns() - start
        crowded = PolicySet.compile([crowded_policy(at) for at in range(size)], 1)
        worst = PolicySet.compile([worst_policy(at) for at in range(size)], 1)
        fresh = count()
        yield (
            size,
            {
                "spread": nanoseconds(lambda s=spread: evaluate(s, _FACTS)),
                "one action": nanoseconds(lambda s=crowded: evaluate(s, _FACTS)),
                "new action": nanoseconds(
                    lambda s=spread, n=fresh: evaluate(s, replace(_FACTS, action=f"x{next(n)}"))
                ),
                "worst": nanoseconds(lambda s=worst: evaluate(s, _FACTS)),
                "naive": nanoseconds(lambda s=spread: naive(s, replace(_FACTS, action="y"))),
                "parse+compile, us": build / 1_000,
            },
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; returns 0."""
    parser = argparse.ArgumentParser(description="nanoseconds per verdict")
    parser.add_argument("--quick", action="store_true", help="up to 1,000 policies only")
    quick: bool = parser.parse_args(argv).quick
    for at, (size, cases) in enumerate(rows(SIZES[:3] if quick else SIZES)):
        if not at:
            sys.stdout.write("".join(f"{name:>18}" for name in ("policies", *cases)) + "\n")
        sys.stdout.write(f"{size:>18,}" + "".join(f"{ns:>18,.0f}" for ns in cases.values()) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
