"""What Slack shows: all of it or no approval, and nothing of it markup."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.approval_card import ApprovalCard
from app.core.ports import Digest
from app.core.request import Status
from app.core.visible import is_hidden, visible_text
from integrations.slack.kit import MOST
from integrations.slack.paint import Message, digest_message, message
from tests.support.cards import card
from tests.support.slack_blocks import message_problems, too_long
from tests.support.slack_message import Content

pytestmark = pytest.mark.requirement("CH-1", "CH-5", "T4", "T6")

ANY = st.text(max_size=300)
HOSTILE = ("<!channel> <@U123> <https://evil.example|safe>", "```\n*bold* _it_ ~no~ `x`\n```",
           ":rocket: &lt;!here&gt; & < >", "\u202edrowssap", "a\x00b\u2066c", "> quote\n\n# head",
           "x" * 2999, "")  # fmt: skip


def content(made: Message) -> Content:
    """Return what the vendor makes of a message."""
    return Content(made.text, made.blocks)


def actions(made: Message) -> list[str]:
    """Return what can be pressed."""
    rows = [block["elements"] for block in made.blocks if block["type"] == "actions"]
    return [element["action_id"] for row in rows for element in row]


def check(made: Message) -> None:
    """Check what Slack asks of every message, and we of every text."""
    assert not message_problems(made.blocks) and not too_long(made.blocks)
    assert not content(made).specials
    assert not any(is_hidden(character) for character in content(made).shown + made.text)


@settings(max_examples=150, deadline=None)
@given(ANY | st.sampled_from(HOSTILE), ANY | st.sampled_from(HOSTILE))
def test_whatever_is_asked_is_shown_as_text(text: str, reason: str) -> None:
    made = message(card(text, reason))
    check(made)
    shown = content(made).shown
    assert visible_text(reason) in shown
    assert ("approve" in actions(made)) is made.painted.complete
    assert "req_1" in shown and "d" * 12 in shown


@pytest.mark.parametrize("size", [100, 4_000, 6_000, 12_000, 20_000, 400_000])
def test_what_does_not_fit_cannot_be_approved(size: int) -> None:
    made = message(card("abc def\n" * (size // 8), "r"))
    check(made)
    whole = size < 5_000
    assert made.painted.complete is whole
    assert ("approve" in actions(made)) is whole and "deny" in actions(made)
    assert ("are not shown here" in content(made).shown) is not whole
    assert len(content(made).shown) < MOST


@pytest.mark.parametrize("field", ["state", "seats", "timeline", "facts", "risk_reasons"])
def test_a_frame_that_is_too_large_decides_nothing(field: str) -> None:
    value: Any = {"state": "s" * 30_000, "facts": tuple((f"n{i}", "v" * 500) for i in range(80))}
    grown = replace(card(), **{field: value.get(field, tuple("x" * 500 for _ in range(60)))})
    made = message(grown)
    check(made)
    assert "approve" not in actions(made)


def test_the_payload_is_whole_and_apart_from_the_agents_words() -> None:
    made = message(card("rm -rf /", "approved by security"))
    blocks = [block for block in made.blocks if block["type"] == "rich_text"]
    kinds = [element["type"] for block in blocks for element in block["elements"]]
    assert kinds.index("rich_text_preformatted") < kinds.index("rich_text_quote")
    assert '"text": "rm -rf /"' in content(made).shown
    before, _, after = content(made).shown.partition("The agent says (claimed, not checked)")
    assert "approved by security" in after and "approved by security" not in before


def pressed(given: ApprovalCard) -> list[str]:
    return actions(message(given))


def test_buttons_follow_the_state() -> None:
    waiting = card()
    assert pressed(waiting) == ["approve", "deny", "reason", "open"]
    assert pressed(replace(waiting, reason_required=True)) == ["approve", "reason", "open"]
    assert pressed(replace(waiting, token="")) == ["open"]
    over = replace(waiting, pending=False, status=Status.APPROVED, state="Approved by Ada (slack)")
    assert pressed(over) == ["open"]
    assert "Approved by Ada (slack)" in content(message(over)).shown


def test_a_risky_approval_asks_again() -> None:
    (row,) = [block for block in message(card()).blocks if block["type"] == "actions"]
    assert row["elements"][0]["confirm"]["title"]["text"] == "Risk: high"
    (low,) = [b for b in message(replace(card(), risk="low")).blocks if b["type"] == "actions"]
    assert "confirm" not in low["elements"][0]
    assert low["elements"][0]["text"]["text"] == "Approve send"


def test_what_is_shown_has_a_digest_of_its_own() -> None:
    one, two = message(card()).painted, message(card("hellO")).painted
    assert one.display == message(card()).painted.display != two.display


def test_digests_list_and_decide_nothing() -> None:
    lines = ("DELETE notes.example /1: expires soon", "<!channel>")
    made = digest_message(Digest("2 requests wait", lines, "https://gate.example/"))
    check(made)
    assert actions(made) == ["open"] and "<!channel>" in content(made).shown


@pytest.mark.parametrize(("count", "long"), [(101, 140), (500, 9), (300, 40)])
def test_a_long_digest_is_cut_and_counted(count: int, long: int) -> None:
    lines = tuple(f"{number:03} {'x' * long}" for number in range(count))
    made = digest_message(Digest(f"{count} requests wait", lines, "https://gate.example/"))
    check(made)
    shown = content(made).shown
    listed = [line for line in lines if line in shown]
    assert len(listed) >= 60 and listed == list(lines[: len(listed)])
    assert f"and {count - len(listed)} more" in shown and actions(made) == ["open"]


@pytest.mark.requirement("DEC-4")
def test_what_does_not_count_here_is_not_offered_here() -> None:
    given = card(elsewhere="Decide it on the dashboard.", reason_required=True)
    assert pressed(given) == ["open"]
    assert "Decide it on the dashboard." in content(message(given)).shown
