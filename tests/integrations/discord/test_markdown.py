"""Nothing of a text is markup to Discord, whatever it holds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.discord.markdown import escaped, fenced, size
from tests.support.discord_markdown import Node, kinds, plain, render

pytestmark = pytest.mark.requirement("CH-2", "T6")

PIECES = [
    "```", "``", "`", "\n", "\\", "*", "**", "_", "__", "~~", "||", "> ", ">>> ", "# ", "-# ",
    "- ", "1. ", "[a](https://evil.example)", "<https://evil.example>", "https://evil.example",
    "discord://x", "<@1>", "<@&1>", "<#1>", "@everyone", "@here", "<t:1:R>", ":smile:",
    "<a:x:1>", "</approve:1>", "<id:home>", "¯\\_(ツ)_/¯", "\u202e", " ", "x", "7", "é", "𝕏",
    "\\u{0060}", "ansi\n", "\t", "mailto:a@b",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
)


@settings(max_examples=1000, deadline=None)
@given(TEXTS)
def test_prose_is_read_as_it_was_written(text: str) -> None:
    line = text.replace("\n", " ")
    assert plain(escaped(line)) == line
    assert kinds(escaped(line)) <= {"text"}


@settings(max_examples=1000, deadline=None)
@given(TEXTS)
def test_nothing_leaves_a_fence(text: str) -> None:
    shown, written_out = fenced(text)
    nodes = render(f"before\n{shown}\nafter")
    if not text:
        assert shown == "(empty)"
        return
    assert [node.kind for node in nodes] == ["text", "code", "text"]
    assert (nodes[0].text, nodes[2].text) == ("before\n", "\nafter")
    inner = nodes[1].text
    lost = inner.count("\\u{0060}") + inner.count("\\u{000A}")
    assert lost - text.count("\\u{0060}") - text.count("\\u{000A}") == written_out
    if not written_out:
        assert inner == text
    assert inner.replace("\\u{0060}", "`").replace("\\u{000A}", "\n") == text.replace(
        "\\u{0060}", "`"
    ).replace("\\u{000A}", "\n")


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS)
def test_two_fences_stay_two(one: str, two: str) -> None:
    nodes = render(f"{fenced(one + 'x')[0]}\n{fenced('x' + two)[0]}")
    assert [node.kind for node in nodes] == ["code", "text", "code"]


@pytest.mark.parametrize("text", ["**b**", "<@1>", "https://a.b", "# h", "`c`", "||s||", "> q"])
def test_the_reading_sees_what_is_markup(text: str) -> None:
    assert kinds(text) - {"text"}
    assert render(escaped(text)) == [Node("text", text)]


def test_sizes_are_counted_in_the_larger_unit() -> None:
    assert (size("ab"), size("é"), size("𝕏"), size("\ud800")) == (2, 1, 2, 1)
