"""The guard's rules are read strictly (SSH-5)."""

import pytest

from app.core.command_guard import judge
from app.core.command_line import parse_command
from app.core.errors import InvalidPolicy
from app.core.guard_rules import read_guard
from app.core.policy import Effect

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
        ('[[harmless]]\nnames = ["x"]\nflag = ["-a"]', "/harmless/0/flag", "did you mean"),
        ('[[harmless]]\nnames = ["x"]\nrest = "<y>"', "/harmless/0", "no pattern"),
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


def said(document: str, command: str) -> str:
    return judge(parse_command(command), read_guard(document)).rule


def test_a_program_whose_harmless_uses_are_listed_asks_for_all_others() -> None:
    document = (
        '[patterns]\nword = "[a-z]+"\n'
        '[[harmless]]\nnames = ["x"]\nsubs = ["show"]\nflags = ["-q"]\nrest = "<word>"\n'
        '[[harmless]]\nnames = ["x"]\nflags = ["--version"]\nneeds = ["--version"]\n'
    )
    for fine in ("x show", "x -q show a", "sudo x --version", "y delete"):
        assert not said(document, fine), fine
    for other in ("x", "x drop", "x show -f", "x show A", "x show $a", "ls; x", "env x drop"):
        assert said(document, other) == "x: other uses", other


def test_own_lists_of_harmless_uses_take_the_place_of_the_bundled_ones() -> None:
    rules = read_guard('[[harmless]]\nnames = ["x"]\nmax = 0\n').with_more(
        read_guard('[[harmless]]\nnames = ["x"]\nrest = "a"\n')
    )
    assert judge(parse_command("x a"), rules).effect is Effect.ALLOW
    assert judge(parse_command("x b"), rules).effect is Effect.REVIEW


def test_behind_the_operands_that_a_program_wraps_stands_another_one() -> None:
    document = '[[harmless]]\nnames = ["x"]\nsubs = ["exec"]\nrest = "[a-z]+"\nwraps = 2\n'
    assert not said(document, "x exec box --any thing $y")
    assert not said(document, "x exec -- box --any")
    assert said(document, "x --any exec box y")
    assert said(document, "x exec BOX y")


def test_where_a_program_starts_and_what_it_is_given_count() -> None:
    folder = HEAD + "programs = ['x']\nfolder = '^/tmp(/|$)'"
    for into in ("cd /tmp && x", "cd /srv; cd /tmp/a; x", "cd /; cd tmp && x", "cd /srv/../tmp; x"):
        assert said(folder, into) == "a", into
    for fine in ("x", "cd /srv && x", "cd /tmp; cd /srv; x", "x; cd /tmp"):
        assert not said(folder, fine), fine
    filled = HEAD + "programs = ['x']\nfilled = true"
    assert said(filled, "x $(y)") == said(filled, "read l; x $l") == "a"
    assert not said(filled, "x a; echo $(y)")
    assert not said(filled, "for a in b c; do x $a; done")


def test_variables_for_a_program_are_told_from_those_of_the_shell() -> None:
    document = HEAD + "except_assigns = ['TZ', 'LC_*']"
    assert said(document, "A=b x") == said(document, "env A=b x") == "a"
    for fine in ("TZ=UTC x", "LC_ALL=C x", "A=b", "export A=b"):
        assert not said(document, fine), fine


def test_names_that_find_hands_over_are_files_where_the_rules_say_so() -> None:
    listed = '[[harmless]]\nnames = ["{0}"]\nflags = ["-h"]\nrest = "[a-z]+"\n'
    head = 'ask_unknown = true\n[group]\nknown = ["find"]\n'
    rules = read_guard(f"{head}{listed.format('weigh')}more = true\n")
    rules = rules.with_more(read_guard(listed.format("read")))
    said = {
        command: judge(parse_command(command), rules).effect
        for command in (
            "find . -exec weigh -h {} +",
            "find . -exec weigh -x {} +",
            "find . -exec read -h {} +",
        )
    }
    assert list(said.values()) == [Effect.ALLOW, Effect.REVIEW, Effect.REVIEW]
