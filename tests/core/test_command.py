"""Policies ask what an SSH command runs; what can't be explained is never known (POL-2, SSH-3)."""

import pytest

from app.core.command_rules import command_facts
from app.core.conditions.base import Tri
from app.core.conditions.tree import parse_match
from app.core.errors import InvalidPolicy
from app.core.facts import Facts
from app.core.instant import Instant
from app.core.json_types import JsonObject
from app.core.pipeline import PolicySet, evaluate
from app.core.policy import Effect, parse_policy
from app.services.profiles import load

pytestmark = pytest.mark.requirement("POL-2", "SSH-3", "T41")

RULES = load()


def facts(command: str | None) -> Facts:
    return Facts(
        action="ssh.exec",
        kind="ssh",
        agent_id="agt_1",
        agent_name="ops",
        target="web1",
        urgency="normal",
        reason="",
        params={},
        context={},
        http=None,
        now=Instant(0),
        command=None if command is None else command_facts(command, RULES),
    )


def asked(wanted: JsonObject, command: str | None) -> Tri:
    return parse_match({"command": wanted}, "").matches(facts(command))


@pytest.mark.parametrize(
    ("wanted", "command", "answer"),
    [
        ({"profile": "logs-readonly"}, "tail -5 /var/log/syslog", True),
        ({"profile": "logs-readonly"}, "cat /etc/passwd", False),
        ({"profile": ["logs-readonly", "readonly-safe"]}, "cat /etc/passwd", True),
        ({"profile": "logs-readonly"}, "tail $X", False),
        ({"profile": "logs-readonly"}, "$X", None),
        ({"profile": "none-such"}, "ls", None),
        ({"programs": ["ls", "grep"]}, "ls | grep x", True),
        ({"programs": ["ls", "grep"]}, "ls; rm x", False),
        ({"programs": ["sudo", "ls"]}, "sudo ls", True),
        ({"programs": ["ls"]}, "sudo ls", False),
        ({"programs": ["ls", "?"]}, "ls; $X", None),
        ({"programs": ["eval", "ls"]}, "eval ls", None),
        ({"runs": "rm"}, "find . -exec rm {} +", True),
        ({"runs": "rm"}, "echo rm", False),
        ({"runs": "rm"}, "$X y", None),
        ({"guard": "harmless"}, "ls", True),
        ({"guard": "harmless"}, "rm x", False),
        ({"guard": "harmless"}, "$X", None),
        ({"guard": "destructive"}, "rm x", True),
        ({"guard": ["destructive", "hostile"]}, "rm -rf /", True),
        ({"guard": "hostile"}, "$X", None),
        ({"guard": "unexplained"}, "$X", True),
        ({"guard": "unexplained"}, "ls", False),
        ({"guard": "harmless", "runs": "ls"}, "ls", True),
    ],
)
def test_what_a_command_is_asked(wanted: JsonObject, command: str, answer: Tri) -> None:
    assert asked(wanted, command) is answer


def test_for_what_is_no_command_nothing_is_known() -> None:
    for wanted in ({"profile": "logs-readonly"}, {"runs": "ls"}, {"guard": "harmless"}):
        assert asked(wanted, None) is None


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({}, "/command"),
        ({"profil": "x"}, "/command/profil"),
        ({"guard": "fine"}, "/command/guard"),
        ({"runs": []}, "/command/runs"),
        ({"runs": 1}, "/command/runs"),
    ],
)
def test_what_is_wrong_is_pointed_at(wanted: JsonObject, pointer: str) -> None:
    with pytest.raises(InvalidPolicy) as error:
        parse_match({"command": wanted}, "")
    assert error.value.pointer == pointer


def test_a_policy_allows_by_profile_and_never_what_is_opaque() -> None:
    rule = {"name": "r", "effect": "allow", "match": {"command": {"profile": "readonly-safe"}}}
    policy = parse_policy({"name": "p", "rules": [rule]}, id="p", version=1)
    policies = PolicySet.compile([policy], 1)
    effects = [
        evaluate(policies, facts(one)).effect
        for one in ("uptime", "uptime; rm x", "uptime; $X", "eval uptime")
    ]
    assert effects == [Effect.ALLOW, Effect.REVIEW, Effect.REVIEW, Effect.REVIEW]


def test_it_reads_well() -> None:
    match = {"command": {"profile": "logs-readonly", "guard": ["harmless"]}}
    text = parse_match(match, "").describe()
    assert text.startswith("the command is permitted by the profile logs-readonly and the command")
