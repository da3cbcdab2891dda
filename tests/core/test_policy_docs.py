"""The examples of the reference page parse, and give the verdicts that the page says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from app.core.facts import ROOTS, Facts
from app.core.instant import Instant
from app.core.pipeline import PolicySet, evaluate
from app.core.policy import Policy, parse_policy

pytestmark = [pytest.mark.requirement("POL-1"), pytest.mark.requirement("POL-2")]

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "policies.md").read_text("utf-8")
TUESDAY_NOON = Instant(1_795_518_000_000_000)


def examples() -> Iterator[tuple[Policy, dict[str, object]]]:
    policy: Policy | None = None
    for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL):
        document = cast("dict[str, object]", json.loads(block))
        if "rules" in document:
            policy = parse_policy(document, id="pol_1", version=1)
        else:
            assert policy is not None
            yield policy, document


def facts_of(given: dict[str, object]) -> Facts:
    return Facts(
        action=cast("str", given["action"]),
        kind="plain",
        agent_id="agt_1",
        agent_name=cast("str", given.get("agent_name", "helper")),
        target=cast("str | None", given.get("target")),
        urgency="normal",
        reason="",
        params=cast("dict[str, object]", given["params"]),
        context={},
        http=None,
        now=TUESDAY_NOON,
    )


def test_the_examples_give_what_the_page_says() -> None:
    found = list(examples())
    assert len(found) >= 7
    for policy, example in found:
        facts = facts_of(cast("dict[str, object]", example["given"]))
        verdict = evaluate(PolicySet.compile([policy], 1), facts)
        assert verdict.effect == example["verdict"], (policy.name, example, verdict.reasons)


def test_the_examples_in_the_tables_parse() -> None:
    matches = [json.loads(found) for found in re.findall(r"\| `(\{.*\})` \|$", PAGE, re.MULTILINE)]
    assert len(matches) >= 19
    rules = [
        {"name": f"r{at}", "effect": "deny", "match": match} for at, match in enumerate(matches)
    ]
    assert len(parse_policy({"name": "p", "rules": rules}, id="p", version=1).rules) == len(matches)


def test_every_path_is_documented() -> None:
    assert [path for path in ROOTS if f"`{path}`" not in PAGE] == []
