"""What cards look like in Discord: all of it or none of it approvable, nothing of it markup."""

import re
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.approval_card import ApprovalCard, Painted
from app.core.card import Block
from app.core.ports import Digest
from app.core.request import Status
from app.core.visible import is_hidden
from integrations.discord.acts import custom_id, read_act
from integrations.discord.markdown import size
from integrations.discord.paint import digest_message, inbox_message, message
from tests.support.discord_desk import PAGE, card
from tests.support.discord_limits import check_message
from tests.support.discord_markdown import kinds, plain, render
from tests.support.discord_message import walk

pytestmark = pytest.mark.requirement("CH-2")

ORDER = ("send", "Waiting: 0 of 1 approvals", "It is carried out", "Risk: high; deletes data",
         "Rule: mail", "Agent: robot", "What will run", "Parameters", '"text": "hello"',
         "Authorization: <mail>", "The agent says", "please", "Who may decide",
         "any approver: open", "submitted by robot",
         "Request req_1, digest dddddddddddd")  # fmt: skip

NASTY = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=120),
    st.text(st.sampled_from("`*_~|<>@#:[]()!\\/.\n\t -1x\u202e\u2028\x85"), max_size=60),
    st.sampled_from([
        "```\n**Approved by security**\n```", "@everyone <@1> <@&2>", "\n\n\n",
        "``````", "\u202eevil",
        "[Approve](https://evil.example)", "https://evil.example/x.png", "||hidden||", "\x00",
        "> quote\n# Heading\n-# small", "<t:0:R>", "</assentry inbox:1>", "`" * 40,
    ]),
)  # fmt: skip


def embeds(painted: Painted) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", painted.body["embeds"])


def texts(painted: Painted) -> list[str]:
    """Return every text that Discord reads markup in."""
    return [
        str(embed[key]) for embed in embeds(painted) for key in ("title", "description")
        if key in embed
    ]  # fmt: skip


def read(painted: Painted) -> str:
    """Return what somebody reads."""
    foot = embeds(painted)[-1].get("footer", {}).get("text", "")
    return "\n".join([*map(plain, texts(painted)), foot])


def buttons(painted: Painted) -> list[str]:
    parts = walk(cast("list[dict[str, Any]]", painted.body["components"]))
    return [part["label"] for part in parts if part["type"] == 2]


def test_the_order_is_that_of_every_surface() -> None:
    shown = read(message(card()))
    assert [at for at in ORDER if at not in shown] == []
    places = [shown.index(at) for at in ORDER]
    assert places == sorted(places)
    assert buttons(message(card())) == ["Approve send", "Deny", "Deny with reason", "Open"]


@pytest.mark.requirement("T5", "T6", "CH-5")
@settings(max_examples=400, deadline=None)
@given(NASTY, NASTY, NASTY)
def test_nothing_an_agent_writes_is_more_than_text(text: str, reason: str, headline: str) -> None:
    evil = card(text, reason)
    evil = replace(evil, headline=card(headline).blocks[0].text, verb=evil.reason)
    made = message(evil)
    check_message(dict(made.body))
    for at in texts(made):
        assert kinds(at) <= {"text", "strong", "code"}, at
        assert not any(is_hidden(character) for character in at)
    assert set(made.body) == {"embeds", "components"}
    keys = {key for embed in embeds(made) for key in embed}
    assert keys <= {"title", "description", "color", "footer"}
    links = [part["url"] for part in walk(cast("Any", made.body["components"])) if "url" in part]
    assert links == [PAGE]


@pytest.mark.requirement("T5", "T6", "T7")
@settings(max_examples=200, deadline=None)
@given(NASTY, NASTY)
def test_what_it_is_made_of_does_not_depend_on_the_agent(text: str, reason: str) -> None:
    evil = replace(card(text, f"x{reason}"), hidden=0, mixed=0)

    def frame(made: Painted) -> list[str]:
        return [node.text for at in texts(made) for node in render(at) if node.kind == "strong"]

    said = [at for at in frame(message(evil)) if "of these characters are written out" not in at]
    assert said == frame(message(card()))


@pytest.mark.requirement("T4")
@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 9_000), st.sampled_from(["x", "*", '"', "é", "𝕏", "\n", "`", "```", "\u202e"]),
    st.integers(0, 3_000),
)  # fmt: skip
def test_all_of_it_or_an_exact_count(length: int, letter: str, words: int) -> None:
    whole = f"HEAD{letter * length}TAIL"
    made = message(replace(card(reason="r" * words), blocks=(Block("Body", whole),)))
    check_message(dict(made.body))
    assert sum(size(at) for at in texts(made)) <= 6_000
    shown = read(made)
    assert "Request req_1, digest dddddddddddd" in shown
    if made.complete:
        assert "Approve send" in buttons(made)
        inner = next(node.text for node in render(texts(made)[3]) if node.kind == "code")
        assert inner.replace("\\u{0060}", "`") == whole
        return
    assert buttons(made) == ["Deny", "Deny with reason", "Review in full"]
    assert "does not show everything" in shown
    count = re.search(r"([\d,]+) characters \(([\d,]+) bytes\) are not shown here", shown)
    assert count is not None
    assert "HEAD" in shown and "TAIL" in shown


@pytest.mark.requirement("T4")
def test_the_count_is_exact() -> None:
    shown = read(message(replace(card(), blocks=(Block("Body", "é" * 8_000),))))
    assert "5,600 characters (11,200 bytes) are not shown here." in shown
    assert shown.count("é") == 2_400


@pytest.mark.requirement("T4")
@pytest.mark.parametrize(
    "given",
    [
        {"facts": tuple(("Why", "y" * 1_000) for _ in range(200))},
        {"headline": "h" * 9_000}, {"state": "s" * 9_000}, {"seats": ("s" * 500,) * 40},
        {"timeline": ("t" * 2_500,) * 8}, {"risk_reasons": ("r" * 9_000,)},
        {"added": ("a" * 400,) * 100}, {"context": "c" * 20_000}, {"reason": "r" * 20_000},
        {"blocks": (Block("B" * 5_000, "x", "n" * 5_000),) * 40},
    ],
)  # fmt: skip
def test_whatever_is_too_large_approves_nothing(given: dict[str, Any]) -> None:
    made = message(replace(card(), **given))
    check_message(dict(made.body))
    assert not made.complete
    assert buttons(made) == ["Deny", "Deny with reason", "Review in full"]
    assert "Request req_1, digest dddddddddddd" in read(made)


@pytest.mark.requirement("T4")
def test_even_if_everything_is_too_large() -> None:
    stars = ("*" * 500,) * 40
    large = replace(
        card("*" * 9_000, "*" * 9_000), headline=stars[0], state=stars[0], seats=stars,
        timeline=stars, added=stars, facts=tuple(("Agent", star) for star in stars),
        url="http://127.0.0.1/requests/req_1",
    )  # fmt: skip
    made = message(large)
    check_message(dict(made.body))
    assert not made.complete and buttons(made) == ["Deny", "Deny with reason"]
    shown = read(made)
    assert "Request req_1, digest dddddddddddd" in shown and large.url in shown
    assert "does not show everything" in shown


def test_a_long_headline_is_still_shown_in_full() -> None:
    made = message(replace(card(), headline="GET x /" + "p" * 400))
    assert made.complete and "GET x /" + "p" * 400 in read(made)
    assert "title" not in embeds(made)[0]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (Status.APPROVED, "Approved by Ada (discord)"), (Status.DENIED, "Denied by Ada (link)"),
        (Status.EXPIRED, "Expired; it will not run"), (Status.UNKNOWN, "Approved; whether"),
    ],
)  # fmt: skip
def test_a_decided_card_offers_nothing_to_decide(status: Status, state: str) -> None:
    made = message(replace(card(), pending=False, status=status, state=state))
    assert buttons(made) == ["Open"] and state in read(made)
    assert made.display != message(card()).display


def test_a_reason_that_is_needed_is_asked_for_both_ways() -> None:
    made = message(card(reason_required=True))
    assert buttons(made) == ["Approve send", "Deny with reason", "Open"]
    parts = walk(cast("Any", made.body["components"]))
    acts = [read_act(part["custom_id"]) for part in parts if "custom_id" in part]
    assert all(act is not None and act.asks for act in acts)
    assert "The policy asks for a comment" in read(made)


def test_a_card_without_a_token_is_only_to_be_read() -> None:
    assert buttons(message(replace(card(), token=""))) == ["Open"]


def test_what_the_approve_button_says_fits() -> None:
    assert buttons(message(replace(card(), verb="v" * 60)))[0] == f"Approve {'v' * 60}"
    assert buttons(message(replace(card(), verb="v" * 90)))[0] == "Approve"


def test_warnings_count_what_was_written_out() -> None:
    shown = read(message(card(reason="\u202e\u202e p\u0430ypal ```")))
    assert "2 hidden characters are written out as \\u{…}." in shown
    assert "1 word is written in mixed or look-alike letters" in shown
    assert "1 of these characters are written out as \\u{…}." in shown


@pytest.mark.parametrize("url", ["http://127.0.0.1:8700/requests/req_1", "https://x/" + "y" * 600])
def test_an_address_that_no_button_takes_is_written_out(url: str) -> None:
    made = message(replace(card(), url=url))
    assert "Open" not in buttons(made) and f"Open: {url}" in embeds(made)[0]["description"]
    assert url in str(digest_message(Digest("2 wait", ("a",), url)).body)


def test_the_agents_words_look_different() -> None:
    colours = {embed.get("title"): embed["color"] for embed in embeds(message(card()))}
    assert colours["The agent says (claimed, not checked)"] != colours["What will run"]


def test_digests_and_inboxes() -> None:
    lines = ("POST x /**b**: expires", *(f"line {number} " + "x" * 180 for number in range(60)))
    made = digest_message(Digest("61 requests wait", lines, PAGE))
    check_message(dict(made.body))
    shown = read(made)
    assert "POST x /**b**: expires" in shown and re.search(r"and \d+ more", shown)
    assert buttons(made) == ["Review them"] and not made.complete
    listed = inbox_message([card(), card("other")])
    check_message(dict(listed.body))
    assert "2 requests wait for you" in read(listed) and "req_1" in read(listed)
    assert "Nothing waits for you." in read(inbox_message([]))
    assert buttons(listed) == []


@given(st.text(max_size=120))
def test_only_our_own_ids_are_read(text: str) -> None:
    act = read_act(text)
    assert act is None or custom_id(act) == text


def test_ids_carry_the_token_and_fit() -> None:
    made: ApprovalCard = replace(card(), token="A-_z" * 16)
    for part in walk(cast("Any", message(made).body["components"])):
        if "custom_id" in part:
            act = read_act(part["custom_id"])
            assert act is not None and act.token == made.token
            assert len(part["custom_id"]) <= 100


@pytest.mark.requirement("DEC-4")
def test_what_does_not_count_here_is_not_offered_here() -> None:
    given = replace(card(), elsewhere="Decide it on the dashboard.")
    assert buttons(message(given)) == ["Open"]
    assert "Decide it on the dashboard." in read(message(given))
