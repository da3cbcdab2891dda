"""The policy that follows from a preset (SVC-1)."""

import re

import pytest

from app.core.policy import parse_policy
from app.core.presets import PRIORITY, READS_PASS, PresetRules, blocked_pattern, policy_document

pytestmark = pytest.mark.requirement("SVC-1")


def test_the_policy_is_for_one_target_and_leaves_room_before_it() -> None:
    policy = parse_policy(policy_document("acme", "Acme", READS_PASS), id="pol_1", version=1)
    assert (policy.name, policy.scope.targets, policy.priority) == ("acme", ("acme",), PRIORITY)
    assert [rule.name for rule in policy.rules] == ["destructive", "writes", "reads"]


def test_without_rules_writes_ask_and_nothing_passes() -> None:
    document = policy_document("acme", "Acme", PresetRules())
    policy = parse_policy(document, id="pol_1", version=1)
    assert [rule.effect.value for rule in policy.rules] == ["review"]


@pytest.mark.parametrize("path", ["/a", "/A/", "/a/b", "/A/b/C/"])
def test_blocked_paths_match_in_any_case_and_depth(path: str) -> None:
    assert re.search(blocked_pattern("/a/**"), path)


@pytest.mark.parametrize("path", ["/ab", "/b/a", "/"])
def test_blocked_paths_match_no_more(path: str) -> None:
    assert not re.search(blocked_pattern("/a/**"), path)
