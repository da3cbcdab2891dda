"""The card in a terminal: whole, in order, and nothing of the agent's ever reaches the terminal."""

import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assentry.paint import Terminal, card, line, plain, row

pytestmark = pytest.mark.requirement("DEC-1", "CH-5", "T5", "T7", "T8")

ORDER = (
    "What it does", "Who asks", "What will run", "The agent says (claimed, not checked)",
    "Who may decide", "What happened",
)  # fmt: skip


def shown(**changes: Any) -> dict[str, Any]:
    return {
        "id": "req_1", "digest": "ab" * 32, "display": "cd" * 32, "status": "pending",
        "state": "Waiting: 0 of 1 approvals", "headline": "DELETE api.example.org /repos/web",
        "verb": "DELETE", "consequence": "removes something", "urgency": "high", "risk": "high",
        "risk_reasons": ["deletes (60)"], "added": ["Authorization: <github>"],
        "facts": [["Agent", "robot"], ["Rule", "writes › ask"], ["Expires", "2026-11-26 20:00:00"]],
        "blocks": [{"title": "Body", "note": "12 bytes", "text": '{\n  "a": 1\n}'}],
        "reason": "clean up", "context": "", "seats": ["any approver: open"],
        "timeline": ["2026-11-26 submitted by robot"], "hidden": 1, "mixed": 2, "pending": True,
        "reason_required": False, "url": "http://127.0.0.1:8700/requests/req_1", **changes,
    }  # fmt: skip


def test_the_card_is_whole_and_in_the_order_of_every_surface() -> None:
    text = card(shown(), Terminal())
    places = [text.index(f"\n{title}\n") for title in ORDER]
    assert places == sorted(places)
    assert text.startswith("DELETE api.example.org /repos/web\n[pending] Waiting")
    for said in ("Risk: high; deletes (60)", "Urgency: high", "Rule: writes › ask", "Agent: robot",
                 "Added by Assentry: Authorization: <github>", "Body (12 bytes)", '│   "a": 1',
                 "1 hidden characters", "2 words", "│ clean up", f"digest {'ab' * 6}"):  # fmt: skip
        assert said in text
    assert "\x1b" not in text


def test_colour_only_repeats_what_words_say() -> None:
    coloured = card(shown(), Terminal(colour=True))
    assert re.sub(r"\x1b\[[0-9;]+m", "", coloured) == card(shown(), Terminal())
    assert row(shown(), Terminal()).startswith("req_1  DELETE api.example.org /repos/web\n")


def test_a_row_says_in_short_what_it_is_about() -> None:
    params = {"title": "Parameters", "note": "", "text": '{\n  "to": "anne"\n}'}
    text = row(shown(blocks=[params], reason="r" * 200, urgency="critical"), Terminal(60))
    _, short, about, says = text.split("\n")
    assert short == '    { "to": "anne" }'
    assert about.endswith("risk high · urgency critical")
    assert says.startswith("    The agent says: rrr") and says.endswith("…") and len(says) == 60
    assert "urgency" not in row(shown(urgency="normal"), Terminal())


HOSTILE = st.text(
    st.one_of(st.characters(), st.sampled_from("\x1b\x9b\r\b\x07\u202e\u200b\u2028漢\U0001f600")),
    max_size=200,
)


@given(HOSTILE)
def test_nothing_of_the_agents_moves_the_terminal(text: str) -> None:
    """Every line that it wrote stays behind our bar, within the width (T7, T8)."""
    blocks = [{"title": "Body", "note": text, "text": text}]
    painted = card(shown(reason=text, context=text, blocks=blocks), Terminal(width=40))
    assert {char for char in painted if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")} <= {
        "\n"
    }
    for written in painted.split("\n"):
        if "│" in written or "┆" in written:
            wide = sum(unicodedata.east_asian_width(char) in "WFA" for char in written)
            assert len(written) + wide <= 2 * 40
    assert "\n" not in line(text)


@given(HOSTILE)
def test_a_wrapped_text_can_be_put_together_again(text: str) -> None:
    painted = card(shown(blocks=[], reason=text or "x", hidden=0), Terminal(width=30))
    part = painted.split("(claimed, not checked)\n")[1].split("\n\nWho may decide")[0]
    lines = [written.strip(" ")[:1] + written[4:] for written in part.split("\n")]
    joined = "".join(f"\n{one[1:]}" if one[0] == "│" else one[1:] for one in lines)[1:]
    assert joined == plain(text or "x").replace("\t", "\\t")
