"""The guard's rules are read strictly (SSH-5)."""

import pytest

from app.core.errors import InvalidPolicy
from app.core.guard_rules import read_guard

pytestmark = pytest.mark.requirement("SSH-5")

HEAD = '[[rule]]\nname = "a"\neffect = "review"\nreason = "b."\n'


@pytest.mark.parametrize(
    ("document", "pointer", "said"),
    [
        ("[[rule", "", "no TOML"),
        ("[[rules]]\n", "/rules", "did you mean 'rule'"),
        (HEAD + 'program = ["x"]', "/rule/0/program", "did you mean"),
        (HEAD, "/rule/0", "says nothing"),
        (HEAD + "programs = []", "/rule/0/programs", "empty"),
        (HEAD + 'programs = ["@x"]', "/rule/0/programs", "no group"),
        (HEAD + "word = '('", "/rule/0/word", "RE2"),
        (HEAD + "word = '(?=x)'", "/rule/0/word", "RE2"),
        (HEAD.replace("review", "allow") + 'programs = ["x"]', "/rule/0/effect", "never allows"),
        (HEAD + 'programs = ["x"]\nexcept = ["y"]', "/rule/0/except", "not both"),
        (HEAD + 'fed = "yes"', "/rule/0/fed", "true or false"),
        ('[[rule]]\nname = "a"\neffect = "deny"\nprograms = ["x"]', "/rule/0/reason", "string"),
        ((HEAD + 'programs = ["x"]\n') * 2, "/rule/1/name", "another rule"),
    ],
)
def test_what_is_wrong_is_pointed_at(document: str, pointer: str, said: str) -> None:
    with pytest.raises(InvalidPolicy) as error:
        read_guard(document)
    assert error.value.pointer == pointer
    assert said in error.value.detail


def test_groups_stand_for_lists() -> None:
    rules = read_guard('[group]\ng = ["x", "y"]\n' + HEAD + 'programs = ["@g", "z*"]')
    assert rules.rules[0].programs == ("x", "y", "z*")
    assert [len(rules.of(name)) for name in ("x", "y", "zed", "w")] == [1, 1, 1, 0]
