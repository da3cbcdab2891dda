"""The policy that follows from a preset (SVC-1)."""

import re

import pytest

from app.core.errors import InvalidField
from app.core.oauth import OAuthEndpoints
from app.core.policy import parse_policy
from app.core.presets import (
    BLOCKED_PRIORITY,
    PRIORITY,
    READS_PASS,
    Calls,
    CredentialHint,
    Preset,
    PresetRules,
    blocked_pattern,
    place_of,
    policy_documents,
)

pytestmark = pytest.mark.requirement("SVC-1")


def test_the_policy_is_for_one_target_and_leaves_room_before_it() -> None:
    (document,) = policy_documents("acme", "Acme", READS_PASS)
    policy = parse_policy(document, id="pol_1", version=1)
    assert (policy.name, policy.scope.targets, policy.priority) == ("acme", ("acme",), PRIORITY)
    assert [rule.name for rule in policy.rules] == ["destructive", "writes", "reads"]


def test_without_rules_writes_ask_and_nothing_passes() -> None:
    (document,) = policy_documents("acme", "Acme", PresetRules())
    policy = parse_policy(document, id="pol_1", version=1)
    assert [rule.effect.value for rule in policy.rules] == ["review"]


@pytest.mark.parametrize("path", ["/a", "/A/", "/a/b", "/A/b/C/"])
def test_blocked_paths_match_in_any_case_and_depth(path: str) -> None:
    assert re.search(blocked_pattern("/a/**"), path)


@pytest.mark.parametrize("path", ["/ab", "/b/a", "/"])
def test_blocked_paths_match_no_more(path: str) -> None:
    assert not re.search(blocked_pattern("/a/**"), path)


def test_what_is_blocked_comes_before_rules_of_people() -> None:
    rules = PresetRules(reads=("/**",), blocked=("/dm/**",))
    blocked, usual = policy_documents("acme.two", "Acme", rules)
    assert (blocked["name"], blocked["priority"]) == ("acme.two: blocked", BLOCKED_PRIORITY)
    policy = parse_policy(blocked, id="pol_1", version=1)
    assert [rule.effect.value for rule in policy.rules] == ["deny"]
    assert policy.scope.targets == ("acme.two",)
    assert usual["name"] == "acme.two"


def preset(*, own_host: bool) -> Preset:
    return Preset(
        name="acme", title="Acme", description="", documentation="https://docs.example.org",
        base_url="https://acme.example", credential=CredentialHint("bearer", ("token",), ""),
        rules=READS_PASS, expect=(), own_host=own_host,
        oauth=OAuthEndpoints("https://acme.example/a?b=c", "https://acme.example/token"),
    )  # fmt: skip


def test_the_operators_host_takes_the_place_of_the_example() -> None:
    place = place_of(preset(own_host=True), "https://Git.example.org:8443/")
    assert place.base_url == "https://git.example.org:8443"
    assert place.oauth is not None
    assert place.oauth.authorize_url == "https://git.example.org:8443/a?b=c"
    assert place.oauth.token_url == "https://git.example.org:8443/token"
    assert not place.oauth.revoke_url


@pytest.mark.parametrize(
    ("own_host", "base_url"),
    [
        (True, ""), (True, "https://acme.example"), (True, "https://ACME.example:444/x"),
        (True, "ftp://x"), (False, "https://git.example.org"),
    ],
)  # fmt: skip
def test_another_address_than_that_is_refused(*, own_host: bool, base_url: str) -> None:
    with pytest.raises(InvalidField) as refused:
        place_of(preset(own_host=own_host), base_url)
    assert refused.value.pointer == "/base_url"


def test_what_nothing_passes_with_is_looked_at_before_reads() -> None:
    rules = PresetRules(reads=("/**",), asks_with=("http.headers.sudo",))
    (document,) = policy_documents("acme", "Acme", rules)
    policy = parse_policy(document, id="pol_1", version=1)
    assert [rule.name for rule in policy.rules] == ["acts otherwise", "writes", "reads"]
    assert policy.rules[0].effect.value == "review"


def test_destructive_calls_are_so_with_a_last_slash_and_by_their_body() -> None:
    rules = PresetRules(
        destructive=(Calls(("POST",), ("/a/*", "/b/**")), Calls(("PATCH",), ("/p/*",), ("gone",)))
    )
    (document,) = policy_documents("acme", "Acme", rules)
    parse_policy(document, id="pol_1", version=1)
    assert isinstance(document["rules"], list)
    assert document["rules"][0] == {
        "name": "destructive", "effect": "review", "tags": ["destructive"],
        "reason": "This deletes something or can't be undone.",
        "match": {"any": [
            {"http": {"method": ["POST"], "path": ["/a/*", "/b/**", "/a/*/"]}},
            {
                "http": {"method": ["PATCH"], "path": ["/p/*", "/p/*/"]},
                "any": [{"http.json.gone": {"exists": True}}],
            },
        ]},
    }  # fmt: skip
