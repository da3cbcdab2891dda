"""The renderer of deceptive text, over all of Unicode."""

import re
import sys
import unicodedata
from unicodedata import bidirectional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.visible import escape, is_hidden, visible, visible_text

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN"}
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
ANY = st.text(st.characters(), max_size=40)

pytestmark = pytest.mark.requirement("T5", "T8")


def test_nothing_hidden_comes_through_of_all_of_unicode() -> None:
    for start in range(0, sys.maxunicode + 1, 4096):
        block = " ".join(map(chr, range(start, start + 4096)))
        for character in set(visible_text(block)) - {"\n", "\t", " "}:
            assert unicodedata.category(character) not in HIDDEN, hex(ord(character))
            assert unicodedata.bidirectional(character) not in BIDI, hex(ord(character))


@pytest.mark.parametrize(
    "code",
    [
        0x00AD, 0x034F, 0x061C, 0x115F, 0x17B4, 0x180E, 0x200B, 0x200D, 0x200F, 0x202E, 0x2060,
        0x2066, 0x2800, 0x3164, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF9, 0xE0041, 0xE01EF, 0x1D173, 0x1B,
        0x08, 0x0D, 0x7F, 0x9B, 0xA0, 0xD800,
    ],
)  # fmt: skip
def test_known_tricks_are_written_out(code: int) -> None:
    assert is_hidden(chr(code))
    assert visible(f"a{chr(code)}b").text == f"a{escape(chr(code))}b"
    assert visible(f"a{chr(code)}b").hidden == 1


@given(ANY)
def test_the_text_is_whole_and_what_is_shown_is_plain(text: str) -> None:
    found = visible(text)
    whole = re.sub(r"\\u\{([0-9A-F]{4,6})\}", lambda match: chr(int(match[1], 16)), found.text)
    assert whole == text
    assert not any(is_hidden(character) for character in found.text)
    assert found.hidden >= sum(is_hidden(character) for character in text)
    kinds = {bidirectional(character) for character in found.text}
    assert kinds.isdisjoint({"R", "AL", "AN"}) or kinds.isdisjoint({"L", "EN", "AN"})


@pytest.mark.requirement("T5")
@pytest.mark.parametrize("text", ["transfer \u05d0 5 1000", "mv \u05d0 \u05d1", "1 \u0660 2"])
def test_letters_from_right_to_left_carry_nothing_along(text: str) -> None:
    shown = visible(text)
    assert shown.text.isascii() and shown.hidden


def test_a_text_that_runs_from_right_to_left_alone_stays() -> None:
    assert visible("\u05e9\u05dc\u05d5\u05dd!").text == "\u05e9\u05dc\u05d5\u05dd!"


def test_mixed_scripts_are_marked() -> None:
    assert visible("p\u0430ypal").mixed == 1
    assert visible("\u043f\u0440\u0438\u0432\u0435\u0442 paypal na\u00efve").mixed == 0


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("\u0430\u0440\u0440\u04cf\u0435", 1),  # Cyrillic letters that read "apple"
        ("\u0440\u0430\u0443\u0440\u0430\u04cf.com", 1), ("\uff52\uff4d -rf", 1),
        ("\U0001d42b\U0001d426", 1), ("\u039f\u039a", 1), ("p\u0430ypal", 1),
        ("\u0434\u0430\u043d\u043d\u044b\u0435", 0), ("\u03bb\u03cc\u03b3\u03bf\u03c2", 0),
        ("adm\uff49n", 1), ("a\u2215b", 1), ("x\u2236y", 1), ("\ua4d4\ua4d5", 1), ("\u2163", 1),
        ("stra\u00dfe caf\u00e9", 0), ("wait\u2026 \u2013 really\u2122 5\u00b2", 0),
        ("plain words", 0), ("\u6771\u4eac", 0),
    ],
)  # fmt: skip
def test_words_in_disguise_are_marked(text: str, marked: int) -> None:
    assert visible(text).mixed == marked


@pytest.mark.parametrize("mark", ["\u0301", "\u0489", "\u0336", "\u20dd"])
def test_marks_cannot_pile_up_or_strike_through(mark: str) -> None:
    shown = visible(f"a{mark * 300}b")
    assert shown.text.count(mark) <= 2 and shown.hidden >= 298


def test_large_texts_take_one_pass() -> None:
    for text in (
        "\u0434\u0430\u043d\u043d\u044b\u0435 p\u0430y " * 20_000,
        "\u6771\u4eac" * 200_000,
    ):
        assert len(visible(text).text) >= len(text)
