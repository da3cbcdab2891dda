"""Routes as policies write them."""

import pytest

from app.core.errors import InvalidPolicy
from app.core.policy import parse_policy
from app.core.policy_route import Route
from app.core.routing import Assurance, Notice, Plan, Rung

pytestmark = pytest.mark.requirement("DEC-3")


def route(value: dict[str, object], *duties: dict[str, object]) -> Route:
    rule = {"name": "r", "effect": "review", "route": value, "obligations": list(duties)}
    return parse_policy({"name": "p", "rules": [rule]}, id="pol_1", version=1).rules[0].route


def test_seats() -> None:
    assert route({"seats": [["group:security"], ["role:admin", "person:a@x"]]}) == Route(
        2, plan=Plan((("group:security",), ("role:admin", "person:a@x")))
    )
    assert route({"seats": [["group:a"], ["group:b"]], "quorum": "any"}).quorum == 1
    assert route({"seats": [["group:a"], ["group:b"], []], "quorum": 2}).quorum == 2
    assert route({"approvers": ["person:a@x", "person:b@x"], "quorum": "all"}).quorum == 2


@pytest.mark.requirement("POL-4", "DEC-4", "DEC-6")
def test_denials_assurance_notices_and_ladders() -> None:
    found = route(
        {
            "denials": 2,
            "notify": [{"channel": "slack", "to": ["C1", "seats"]}, {"channel": "email"}],
            "escalation": [
                {"after": 60, "approvers": ["group:oncall"], "repeat": 2},
                {"after": 600, "deny": True},
            ],
        },
        {"kind": "require_assurance", "level": "L3"},
        {"kind": "require_reason"},
    ).plan
    assert (found.denials, found.assurance) == (2, Assurance.SESSION)
    assert found.notify == (Notice("slack", ("C1", "seats")), Notice("email"))
    assert found.ladder == (Rung(60, ("group:oncall",), repeat=2), Rung(600, deny=True))


@pytest.mark.parametrize(
    ("value", "pointer", "words"),
    [
        ({"seats": []}, "/seats", "empty"),
        ({"seats": [["ada"]]}, "/seats/0/0", "role:approver"),
        ({"seats": [["group:A b"]]}, "/seats/0/0", "group:NAME"),
        ({"seats": [[]], "approvers": []}, "/approvers", "not both"),
        ({"seats": [[], []], "quorum": 3}, "/quorum", "2"),
        ({"quorum": "all"}, "/quorum", "seats"),
        ({"quorum": "most"}, "/quorum", "all or any"),
        ({"approvers": ["person:a@x"], "quorum": 2}, "", "only 1 different"),
        ({"seats": [["person:a@x"], ["person:a@x"]]}, "", "only 1 different"),
        ({"notify": [{"channel": "Slack!"}]}, "/notify/0/channel", "channel"),
        ({"escalation": [{}]}, "/escalation/0", "after"),
        ({"escalation": [{"after": 1, "deny": True}, {"after": 1}]}, "/escalation", "last"),
    ],
)
def test_what_nobody_could_satisfy_is_refused(
    value: dict[str, object], pointer: str, words: str
) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        route(value)
    assert caught.value.pointer == f"/rules/0/route{pointer}"
    assert words in caught.value.detail


def test_a_ladder_may_bring_the_people_that_are_missing() -> None:
    value: dict[str, object] = {
        "seats": [["person:a@x"], ["person:a@x"]],
        "escalation": [{"after": 60, "approvers": ["group:oncall"]}],
    }
    assert route(value).quorum == 2


def test_levels_are_named() -> None:
    with pytest.raises(InvalidPolicy):
        route({}, {"kind": "require_assurance", "level": "L4"})
