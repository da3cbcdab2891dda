"""The RE2 door: hostile patterns end, meanings are RE2's, refusals say why (T37)."""

import pytest

from app.core.regex import MAX_PATTERN, MAX_SUBJECT, compile_search

pytestmark = pytest.mark.requirement("T37")

CATASTROPHIC = (
    "(a+)+$",
    "(a|a)*$",
    "(a|aa)+$",
    "(.*a){20}$",
    "(?:(?:a?){30}){30}b",
    "([a-zA-Z]+)*$",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "(.*)(.*)(.*)(.*)(.*)(.*)(.*)[^a]q",
    "a.{400}$",
)


@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_catastrophic_patterns_end(pattern: str) -> None:
    search = compile_search(pattern)
    assert isinstance(search("a" * 23 + "!"), bool)
    for text in ("a" * (MAX_SUBJECT - 1) + "!", "é" * (MAX_SUBJECT // 2), "ab" * 20_000):
        assert search(text) in {True, False, None}


def test_a_large_pattern_reads_less_text() -> None:
    search = compile_search(r"^[\pL\pN]{2,10}$")
    assert search("Zoë") is True
    assert search("a" * MAX_SUBJECT) is None


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("b", "abc", True),
        ("^b", "abc", False),
        ("c$", "abc\n", False),
        (r"^\d$", "٣", False),
        (r"^\w$", "é", False),
        ("(?i)^straße$", "STRASSE", False),
        ("(?m)^b$", "a\nb", True),
        ("^.$", "é", True),
        ("", "", True),
    ],
)
def test_meaning(pattern: str, text: str, found: object) -> None:
    assert compile_search(pattern)(text) is found


@pytest.mark.parametrize("text", ["\ud800", "a" * (MAX_SUBJECT + 1), "é" * MAX_SUBJECT])
def test_what_cannot_be_searched_is_not_known(text: str) -> None:
    assert compile_search("a")(text) is None


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(?!a)", "invalid perl operator"),
        ("(?<=a)", "invalid"),
        (r"(a)\1", "invalid escape"),
        ("[", "missing ]"),
        ("a{1001}", "repetition"),
        (r"\C", "is not accepted"),
        (r"\\\C", "is not accepted"),
        ("a" * (MAX_PATTERN + 1), "longer than 512"),
        (".{1000}" * 3, "too complex"),
        ("\ud800", "surrogate"),
    ],
)
def test_refusals_say_why(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("[", r"\[")):
        compile_search(pattern)


def test_an_escaped_backslash_before_a_c_is_no_byte() -> None:
    assert compile_search(r"\\C")(r"\C") is True
