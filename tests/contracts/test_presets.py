"""Every preset: parses, hosts exact, and its examples hold in the real pipeline (SVC-1)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest

from app.core.action import BoundTarget, HttpAction, Submission, Urgency
from app.core.asking import facts_of
from app.core.errors import InvalidAction
from app.core.facts import Facts
from app.core.instant import Instant
from app.core.oauth import OAuthEndpoints
from app.core.paths import METHODS, parse_base_url, parse_target_path, request_headers
from app.core.pipeline import PolicySet, evaluate
from app.core.policy import Effect, parse_policy
from app.core.presets import DESTRUCTIVE, Example, Preset, policy_documents
from app.core.principals import Agent
from app.core.verdict import Verdict
from integrations.services.loader import presets

pytestmark = pytest.mark.requirement("SVC-1")

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "presets.md"
NOW = Instant(1_795_000_000_000_000)
AGENT = Agent("agt_1", "helper", "", None, 0, frozen=False, created_at=NOW)
EVERY = pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)


def facts(preset: Preset, example: Example) -> Facts:
    path, query = parse_target_path(example.path)
    body = b"" if example.json is None else json.dumps(example.json).encode()
    kind = {"Content-Type": "application/json"} if body else {}
    headers = request_headers((kind | example.headers).items(), "/headers")
    action = HttpAction(example.method, path, query, headers, body)
    target = BoundTarget("tgt_1", preset.name, preset.base_url, 1)
    submission = Submission(AGENT.id, action, target, Urgency.NORMAL, "", {})
    return facts_of(submission, AGENT, NOW, None, {})


def verdict(preset: Preset, example: Example) -> Verdict:
    documents = policy_documents(preset.name, preset.title, preset.rules)
    policies = [
        parse_policy(document, id=f"pol_{at}", version=1) for at, document in enumerate(documents)
    ]
    return evaluate(PolicySet.compile(policies, 1), facts(preset, example))


def urls(endpoints: OAuthEndpoints | None) -> Iterator[str]:
    if endpoints is not None:
        yield from (endpoints.authorize_url, endpoints.token_url)


@EVERY
def test_hosts_are_exact_and_encrypted(preset: Preset) -> None:
    assert parse_base_url(preset.base_url).text == preset.base_url
    for url in (preset.base_url, preset.documentation, *urls(preset.oauth)):
        parts = urlsplit(url)
        assert parts.scheme == "https"
        assert parts.hostname == parts.netloc
        assert "*" not in url
    assert preset.own_host == urlsplit(preset.base_url).netloc.endswith(".example")


@EVERY
def test_examples_hold(preset: Preset) -> None:
    for example in preset.expect:
        found = verdict(preset, example)
        assert (example, str(found.effect)) == (example, example.effect)
        assert (example, DESTRUCTIVE in found.tags) == (example, example.destructive)
        if example.destructive:
            assert found.risk is not None
            assert found.risk.level == "high"


@EVERY
def test_examples_cover_what_the_rules_say(preset: Preset) -> None:
    effects = [example.effect for example in preset.expect]
    assert len(effects) >= 8
    assert {"allow", "review"} <= set(effects)
    assert ("deny" in effects) == bool(preset.rules.blocked)
    assert any(one.destructive for one in preset.expect) == bool(preset.rules.destructive)


@EVERY
def test_what_is_blocked_has_no_other_spelling(preset: Preset) -> None:
    for example in preset.expect:
        if example.effect != "deny":
            continue
        for path in (example.path.upper(), example.path + "/"):
            other = Example(example.method, path, "deny")
            assert verdict(preset, other).effect is Effect.DENY, path
        letter = next(at for at, sign in enumerate(example.path) if sign.isalpha())
        encoded = f"%{ord(example.path[letter]):02x}"
        for path in (
            "/" + example.path,
            example.path.replace("/", "//"),
            example.path[:letter] + encoded + example.path[letter + 1 :],
            example.path + ";a=b",
            "/x/.." + example.path,
        ):
            with pytest.raises(InvalidAction):
                parse_target_path(path)


@EVERY
def test_what_nobody_knows_asks(preset: Preset) -> None:
    for method in METHODS:
        found = verdict(preset, Example(method, "/nothing/of-this-kind", "review"))
        assert found.effect is Effect.REVIEW


@EVERY
def test_what_is_masked_is(preset: Preset) -> None:
    for example in preset.expect:
        duties = [duty for duty in verdict(preset, example).obligations if duty.kind == "redact"]
        fields = [
            str(one) for duty in duties for one in cast("list[str]", duty.parameters["fields"])
        ]
        assert sorted(fields) == sorted(example.masked), example.path


@EVERY
def test_only_reads_pass(preset: Preset) -> None:
    posts = {*preset.rules.reading_posts, *preset.rules.graphql}
    for example in preset.expect:
        if example.method not in {"GET", "HEAD"} and example.effect == "allow":
            assert example.method == "POST"
            assert posts


@EVERY
def test_the_reference_has_it(preset: Preset) -> None:
    text = PAGE.read_text("utf-8")
    assert f"## {preset.title}" in text
    assert preset.base_url in text
