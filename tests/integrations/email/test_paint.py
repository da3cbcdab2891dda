"""What mail says: the same twice, in order, all of it or none of it decidable."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.card import Block
from app.core.ports import Digest
from app.core.visible import is_hidden
from integrations.email.paint import END, MIXED, MOST, digest_letter, letter
from tests.integrations.email.conftest import Reader, plain_words
from tests.support.cards import LINK, PAGE, card

pytestmark = pytest.mark.requirement("CH-3")

MARK = [("class", "mixed"), ("style", MIXED)]
ORDER = ("It is carried out", "Risk: high; deletes data", "Rule: mail", "Agent: robot",
         f"Review in full: {PAGE}", "Parameters", '"text": "hello"',
         "Authorization: <mail>", f"Decide: {LINK}", "The agent says", "please", "Who may decide",
         "any approver: open", "submitted by robot", "req_1, digest dddddddddddd")  # fmt: skip

NASTY = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=120),
    st.text(st.sampled_from("<>&\"'\r\n\t -> :={}%\u202e\u2028\x85\x0b\x1b"), max_size=60),
    st.sampled_from([
        "\r\nBcc: eve@example.org", "</pre></blockquote><script>x</script>", "\u202eevil",
        "{{ 7 * 7 }}{% raw %}", "\x00", "<img src=https://evil.example/x.png>", "<!-- ",
        "Decide: https://evil.example/l/abc", "\n\n--\nSubject: x", "-->", "]]>",
        "=0D=0ABcc: eve@example.org", "=?utf-8?q?=0ABcc:_eve@example.org?=", "&lt;b&gt;",
    ]),
)  # fmt: skip


def test_the_order_is_that_of_every_surface() -> None:
    made = letter(card())
    assert made.text.startswith("send\nWaiting: 0 of 1 approvals\n")
    assert [at for at in ORDER if at not in made.text] == []
    places = [made.text.index(at) for at in ORDER]
    assert places == sorted(places)
    assert made.painted.complete


@pytest.mark.requirement("T5", "T6", "CH-5")
@settings(max_examples=300, deadline=None)
@given(NASTY, NASTY)
def test_text_and_html_say_the_same(text: str, reason: str) -> None:
    made = letter(card(text, reason))
    assert Reader(made.html).words == plain_words(made.text)
    assert not any(is_hidden(character) for character in made.text + made.html + made.subject)


@pytest.mark.requirement("T5", "T6", "T20", "CH-5")
@settings(max_examples=300, deadline=None)
@given(NASTY, NASTY)
def test_nothing_an_agent_writes_is_more_than_text(text: str, reason: str) -> None:
    evil = replace(card(text, f"x{reason}"), hidden=0, mixed=0)
    plain, read = Reader(letter(card()).html), Reader(letter(evil).html)
    assert [name for name in read.elements if name != "mark"] == plain.elements
    assert [pair for pair in read.attributes if pair not in MARK] == plain.attributes


def test_links_are_ours_and_nothing_is_loaded() -> None:
    read = Reader(letter(card("<img src='https://evil.example'>")).html)
    assert [value for name, value in read.attributes if name in ("href", "src")] == [PAGE, LINK]
    assert set(read.elements).isdisjoint({"img", "script", "form", "iframe", "link", "object"})
    assert [name for name, _ in read.attributes if name.startswith("on")] == []


@pytest.mark.requirement("T20")
def test_our_links_stand_above_what_the_agent_wrote() -> None:
    made = letter(card("first words", "last words"))
    for said in (made.text, made.html):
        runs, words = said.index("first words"), said.index("last words")
        assert said.index(PAGE) < runs < said.index(LINK) < words


@pytest.mark.requirement("T4")
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 200_000), st.sampled_from(["x", "<", '"', "é", "𝕏", "\n", "\u202e"]))
def test_all_of_it_or_an_exact_count(size: int, letter_: str) -> None:
    shown = replace(card(), blocks=(Block("Body", f"HEAD{letter_ * size}TAIL"),))
    made = letter(shown)
    assert len(made.html.encode()) <= MOST
    body = re.search(r"Body\n(.*)\nAdded by", made.text, re.DOTALL)
    assert body is not None
    if made.painted.complete:
        assert body[1].count(letter_) == size
        assert LINK in made.text and LINK in made.html
        return
    count = re.search(r"Mind: ([\d,]+) characters \(([\d,]+) bytes\)", made.text)
    assert count is not None
    gone, weight = (int(number.replace(",", "")) for number in count.groups())
    assert gone == size + 8 - 2 * END
    assert weight == gone * len(letter_.encode())
    assert "HEAD" in made.text and "TAIL" in made.html
    assert LINK not in made.text + made.html
    assert "Review it in full" in made.text and PAGE in made.html


@pytest.mark.requirement("T4")
def test_a_frame_that_is_too_large_decides_nothing() -> None:
    made = letter(card(facts=tuple(("Why", "y" * 1_000) for _ in range(200))))
    assert not made.painted.complete
    assert LINK not in made.text + made.html


def test_the_agents_words_are_cut_like_the_payload() -> None:
    made = letter(card(reason="r" * 300_000))
    assert not made.painted.complete
    assert "296,000 characters (296,000 bytes) are not shown here." in made.text


def test_warnings_count_what_was_written_out() -> None:
    made = letter(card(reason="\u202e\u202e p\u0430ypal"))
    assert "2 hidden characters are written out as \\u{…}." in made.text
    assert "1 word is written in mixed or look-alike letters" in made.text
    assert "hidden character" not in letter(card()).text


@pytest.mark.requirement("T6")
def test_a_word_in_mixed_letters_is_marked_where_it_stands() -> None:
    made = letter(card("to p\u0430ypal", "as p\u0430ypal says"))
    assert re.findall(r"<mark [^>]*>([^<]*)</mark>", made.html) == ["p\u0430ypal"] * 3
    assert "<mark" not in letter(card()).html


def test_a_decided_card_offers_nothing_to_decide() -> None:
    made = letter(replace(card(), pending=False, state="Approved by Ada (slack)"))
    assert LINK not in made.text + made.html
    assert "Approved by Ada" in made.text and "Decide" not in made.html
    assert PAGE in made.text


def test_a_comment_that_is_needed_is_asked_for() -> None:
    assert "asks for a comment" in letter(card(reason_required=True)).text


def test_subjects_are_one_short_line_and_stay_the_same() -> None:
    long = replace(card(), headline="POST\r\nBcc: eve@example.org \x00\u2028" + "é" * 500)
    subject = letter(long).subject
    assert subject.isprintable() and len(subject) < 200
    assert letter(replace(long, version=9, pending=False)).subject == subject


def test_a_digest_lists_what_waits() -> None:
    made = digest_letter(Digest("2 requests wait", ("a <b>: soon", "c: later"), PAGE))
    assert Reader(made.html).words == plain_words(made.text)
    assert "- a <b>: soon" in made.text and "a &lt;b&gt;: soon" in made.html
    assert not made.painted.complete and PAGE in made.html
