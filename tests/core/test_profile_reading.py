"""Profiles are read strictly: nothing is ignored, nothing empty permits (SSH-3)."""

import pytest

from app.core.errors import InvalidPolicy
from app.core.profile_reading import extended, read_profile

pytestmark = pytest.mark.requirement("SSH-3")

HEAD = 'name = "a"\ntitle = "b"\ndescription = "c"\n'
ONE = HEAD + '[[program]]\nnames = ["x"]\n'


@pytest.mark.parametrize(
    ("document", "pointer", "said"),
    [
        ("name = ", "", "no TOML"),
        (HEAD, "/program", "permits nothing"),
        (HEAD + "program = []", "/program", "empty"),
        (HEAD + "base = 1", "/base", "true or false"),
        (HEAD.replace('"a"', '"A b"') + "base = true", "/name", "lower-case"),
        (HEAD.replace("title", "tilte"), "/tilte", "did you mean"),
        (ONE + "flag = []", "/program/0/flag", "did you mean 'flags'"),
        (ONE + "flags = []", "/program/0/flags", "empty"),
        (ONE + 'flags = ["x"]', "/program/0/flags/0", "no option"),
        (ONE + 'values = { n = "x" }', "/program/0/values/n", "no option"),
        (ONE + 'values = { "-n" = "(" }', "/program/0/values/-n", "RE2"),
        (ONE + "rest = '(?!x)'", "/program/0", "RE2"),
        (ONE + "operands = ['<none>']", "/program/0/operands/0", "no pattern <none>"),
        (ONE + "min = 2", "/program/0/min", "more operands"),
        (ONE + "min = 2\nmax = 1", "/program/0/min", "more than max"),
        (ONE + "max = true", "/program/0/max", "whole number"),
        (HEAD + '[[program]]\nnames = ["a b"]', "/program/0/names", "no name"),
        (HEAD + '[[program]]\nflags = ["-a"]', "/program/0/names", "list"),
        (ONE + 'extends = ["y"]', "/program/0/extends", "unknown"),
        (HEAD + 'extends = ["y"]', "/extends/0", "no profile"),
        (ONE + "[patterns]\nx = '('", "/patterns/x", "RE2"),
        (ONE + "[command]\nallow = ['(']", "/command/allow/0", "RE2"),
        (ONE + "[expect]\nallow = ['x']", "/expect/allow", "did you mean"),
    ],
)
def test_what_is_wrong_is_pointed_at(document: str, pointer: str, said: str) -> None:
    with pytest.raises(InvalidPolicy) as error:
        read_profile(document)
    assert error.value.pointer == pointer
    assert said in error.value.detail


def test_patterns_refer_to_patterns_and_are_inherited() -> None:
    base = read_profile(HEAD + "base = true\n[patterns]\nd = '[0-9]'\ndd = '<d><d>'\n")
    own = (
        HEAD.replace('"a"', '"b"') + 'extends = ["a"]\n[[program]]\nnames = ["x"]\nrest = "<dd>"\n'
    )
    profile = read_profile(own, {"a": base})
    rest = profile.programs["x"][0].rest
    assert rest is not None
    assert (rest("12"), rest("1"), rest("123")) == (True, False, False)
    assert extended(own) == ("a",)


def test_letters_may_be_written_together() -> None:
    profile = read_profile(ONE + 'flags = ["-[ab1] --long", "-exec"]')
    assert profile.programs["x"][0].flags == {"-a", "-b", "-1", "--long", "-exec"}
