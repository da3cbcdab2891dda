"""The quick reading of plain commands is the parser's reading (SSH-3, T41)."""

import shlex

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.core.command_lexer import plain_pipeline
from app.core.command_parts import program_name
from app.core.command_tree import take_apart
from tests.support.corpus import corpus

pytestmark = pytest.mark.requirement("SSH-3", "T41")

CORPORA = ("hostile", "options", "harmless", "everyday", "operators", "unseen", "reads",
           "beyond_reading")  # fmt: skip


def assert_same(text: str) -> None:
    quick = plain_pipeline(text)
    if quick is None:
        return
    parts = take_apart(text.encode())
    assert not parts.opaque, text
    assert parts.features <= {"redirect"}, text
    assert [(one.name, one.path, one.words) for one in parts.programs] == [
        (program_name(path), path, words) for path, words, _ in quick
    ], text
    assert parts.redirects == [one for plain in quick for one in plain.redirects], text


@pytest.mark.parametrize("name", CORPORA)
def test_both_readings_agree_on_the_corpus(name: str) -> None:
    for command in corpus(name):
        assert_same(command)


def test_most_honest_reads_are_plain() -> None:
    reads = corpus("reads")
    assert sum(plain_pipeline(one) is not None for one in reads) > 0.95 * len(reads)


pieces = st.sampled_from(
    [*"abx019 \t'\"\\|.-/=*?[]{}~^%@,:+!#;&<>$()`\n", "2>&1", ">/dev/null", "2> /dev/null", "ls",
     "if", "time", "'a b'", '"c d"', "--x=y", "A=b", " | ", "a{b,c}", "$x", "{}"]
)  # fmt: skip


@given(st.lists(pieces, max_size=14).map("".join))
def test_both_readings_agree_on_anything(text: str) -> None:
    assert_same(text)
    assert_same(f"ls {text}")


written = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@given(st.lists(written, min_size=1, max_size=5))
def test_words_in_plain_quotes_come_out_as_they_went_in(words: list[str]) -> None:
    quick = plain_pipeline("ls " + shlex.join(words))
    assume(quick is not None)
    assert quick is not None
    assert [word.text for word in quick[0].words] == words


@pytest.mark.parametrize(
    "text",
    ["", " ", "|", "ls |", "| ls", "ls || x", "ls |& x", "A=b ls", "if x", "ls 'a", "ls\nid",
     "ls a{b,c}", "ls $x", "~/x", "l? x", "ls >x", "ls caf\u00e9", "time ls", "ls # x",
     "ls =", "ls =id", "ls ,{}", "ls {}a", "ls '{}'{}", "ls 2>&1 a", "ls ^x", "ls \\x41",
     "ls 'a\\'", "ls 'a\\' 'b; id #'", "ls '!1'"],
)  # fmt: skip
def test_it_gives_up_at_anything_else(text: str) -> None:
    assert plain_pipeline(text) is None
