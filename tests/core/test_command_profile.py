"""A profile permits what it lists, wholly, and nothing else (SSH-3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.command_line import parse_command
from app.core.command_profile import Profile, check, check_any, read_profile
from app.core.policy import Effect
from app.services.profiles import load
from tests.support.corpus import corpus

pytestmark = pytest.mark.requirement("SSH-3", "T41")

PROFILES = load().profiles
STARTERS = [one for one in PROFILES.values() if not one.base]
READING = [one for one in STARTERS if one.reading]

HEAD = 'name = "own"\ntitle = "Own"\ndescription = "Own."\n'


def own(text: str) -> Profile:
    return read_profile(HEAD + text, PROFILES)


def effect(profile: Profile, command: str) -> Effect:
    return check(profile, parse_command(command)).effect


@pytest.mark.parametrize("profile", STARTERS, ids=lambda profile: profile.name)
def test_a_starter_does_what_its_examples_say(profile: Profile) -> None:
    wrong = [
        (one.command, one.allowed)
        for one in profile.expect
        if (effect(profile, one.command) is Effect.ALLOW) is not one.allowed
    ]
    assert wrong == []


def test_every_starter_has_examples_of_both_sorts() -> None:
    assert len(STARTERS) == 16
    for profile in STARTERS:
        assert {one.allowed for one in profile.expect} == {True, False}, profile.name


@pytest.mark.parametrize("name", ["hostile", "options", "beyond_reading"])
def test_no_reading_profile_lets_anything_of_it_through(name: str) -> None:
    commands = corpus(name)
    assert len(commands) >= 150
    let = [
        (profile.name, command)
        for command in commands
        for profile in READING
        if effect(profile, command) is Effect.ALLOW
    ]
    assert let == []


def test_at_most_one_honest_read_in_twenty_is_refused() -> None:
    reads = corpus("reads")
    refused = [
        one for one in reads if check_any(READING, parse_command(one)).effect is not Effect.ALLOW
    ]
    assert len(reads) >= 150
    assert len(refused) * 20 <= len(reads), refused


def test_operands_flags_and_values_are_constrained() -> None:
    profile = own(
        '[[program]]\nnames = ["x"]\nflags = ["-[ab]", "--all"]\ndenied = ["-d"]\n'
        'values = { "-n --number" = "[0-9]+" }\noptional = { "--color" = "auto" }\n'
        'operands = ["in|out"]\nrest = "[a-z]+"\nmin = 1\nmax = 3\n'
    )
    for good in ("x in", "x -ab out", "x --all in b c", "x -n5 in", "x -n 5 in", "x -abn 5 in",
                 "x --number=5 in", "x --color in", "x --color=auto in", "x -- in",
                 "/usr/bin/x in", "x 'in'"):  # fmt: skip
        assert effect(profile, good) is Effect.ALLOW, good
    for bad in ("x", "x no", "x in b c d", "x in B", "x -c in", "x -d in", "x -abd in", "x -n in",
                "x -nx in", "x --number in", "x --al in", "x --color=red in", "x --number=5x in",
                "/tmp/x in", "x -- -a", "x in -n", "y in", "x $y", "x in*",
                "x in ../b"):  # fmt: skip
        assert effect(profile, bad) is not Effect.ALLOW, bad


def test_a_pattern_of_the_shell_may_not_become_an_option() -> None:
    profile = own('[[program]]\nnames = ["x"]\nrest = "[a-z./*?]+"\n')
    for good in ("x a*", "x logs/*.txt", "x /srv/*", "x ./*"):
        assert effect(profile, good) is Effect.ALLOW, good
    for bad in ("x *", "x ?a", "x .*", "x a/.*", "x a*b*c*", "x a/../*"):
        assert effect(profile, bad) is not Effect.ALLOW, bad


def test_a_pattern_of_the_shell_stays_within_what_is_permitted_further_on() -> None:
    profile = PROFILES["readonly-safe"]
    for good in ("cat /var/log/*", "grep x /var/log/*", "ls /srv/*", "grep 'a*' /var/log/syslog"):
        assert effect(profile, good) is Effect.ALLOW, good
    for bad in ("grep -v /srv/app/d* /var/log/syslog", "grep -v a* /var/log/syslog",
                "grep -v -e /srv/d* /var/log/syslog", "cat /var/log/x | grep -v s*",
                "cat /var/log/x | cut -f1- --output-delimiter /srv/*", "tree -P /srv/*",
                "cat /var/log/x | column -s /srv/a*", "journalctl -g /srv/*"):  # fmt: skip
        assert effect(profile, bad) is not Effect.ALLOW, bad


@pytest.mark.parametrize(
    "command", ["hostname 1&>/dev/null", "vmstat 2&>/dev/null", "ls &>/dev/null"]
)
def test_a_redirection_that_shells_read_differently_is_not_permitted(command: str) -> None:
    for profile in READING:
        assert effect(profile, command) is not Effect.ALLOW, profile.name


def test_what_several_parents_bring_is_there_once() -> None:
    assert len(PROFILES["readonly-safe"].deny) == len(set(map(id, PROFILES["readonly-safe"].deny)))
    for grammars in PROFILES["debian-ops"].programs.values():
        assert len(grammars) == len(set(map(id, grammars)))


def test_subcommands_and_needs() -> None:
    profile = own(
        '[[program]]\nnames = ["x"]\nsubs = ["a b", "c"]\nflags = ["-q"]\nmax = 0\n'
        '[[program]]\nnames = ["y"]\nflags = ["-s"]\nneeds = ["-s"]\n'
    )
    for good in ("x a b", "x -q c", "x a -q b", "y -s"):
        assert effect(profile, good) is Effect.ALLOW, good
    for bad in ("x a", "x b", "x c d", "x", "y"):
        assert effect(profile, bad) is Effect.DENY, bad


@pytest.mark.parametrize(
    "command",
    ["x; x", "x && x", "x || x", "x &", "x\nx", "(x)", "{ x; }", "! x", "A=b x", "x $(x)", "x `x`",
     "x <(x)", "x > /tmp/y", "x < y", "x <<< y", "x 2>&1", "x | sh", "x |& x", "x | x", "x # y"],
)  # fmt: skip
def test_more_than_a_plain_command_is_refused(command: str) -> None:
    profile = own('[[program]]\nnames = ["x", "sh"]\nrest = ".*"\n')
    assert effect(profile, command) is not Effect.ALLOW


def test_the_harmless_redirections_are_permitted_where_it_says_so() -> None:
    profile = own('redirects = true\n[[program]]\nnames = ["x"]\n')
    for good in ("x 2>&1", "x >/dev/null", "x > /dev/null 2>&1", "x 2>/dev/null"):
        assert effect(profile, good) is Effect.ALLOW, good
    for bad in ("x > /tmp/y", "x 2> y", "x >> y", "x &> y", "x >/dev/sda", "x < y"):
        assert effect(profile, bad) is Effect.DENY, bad


def test_whole_commands_are_permitted_and_refused() -> None:
    profile = own(
        "[command]\nallow = ['make deploy']\ndeny = ['ls /secret.*']\n"
        '[[program]]\nnames = ["ls"]\nrest = "/.*"\n'
    )
    assert effect(profile, "make  'deploy'") is Effect.ALLOW
    assert effect(profile, "make deploy x") is Effect.DENY
    assert effect(profile, "ls /srv") is Effect.ALLOW
    assert effect(profile, "ls /secret/x") is Effect.DENY


def test_what_it_extends_is_permitted_too() -> None:
    profile = own('extends = ["logs-readonly"]\n[[program]]\nnames = ["x"]\nrest = "<number>"\n')
    assert effect(profile, "x 5") is Effect.ALLOW
    assert effect(profile, "tail -5 /var/log/syslog | grep x") is Effect.ALLOW
    assert effect(profile, "x a") is Effect.DENY


def test_a_profile_without_programs_permits_nothing() -> None:
    assert effect(PROFILES["base-host"], "uptime") is Effect.DENY
    assert check_any([], parse_command("uptime")).effect is Effect.DENY


def test_several_profiles_permit_what_one_of_them_permits_wholly() -> None:
    given_ = [PROFILES["logs-readonly"], PROFILES["kubernetes-readonly"]]
    assert check_any(given_, parse_command("kubectl get pods")).effect is Effect.ALLOW
    assert check_any(given_, parse_command("kubectl get pods; ls /var/log")).effect is Effect.DENY


def test_what_cant_be_explained_is_for_a_person() -> None:
    judgement = check(PROFILES["readonly-safe"], parse_command("$X"))
    assert (judgement.effect, bool(judgement.reasons)) == (Effect.REVIEW, True)


def test_a_refusal_says_what_is_refused_and_shows_no_pattern() -> None:
    reason = check(PROFILES["readonly-safe"], parse_command("systemctl stop x")).reasons[0]
    assert reason == "Profile readonly-safe: systemctl stop is not permitted."


@given(st.text(), st.sampled_from(STARTERS))
def test_it_is_total(text: str, profile: Profile) -> None:
    assert check(profile, parse_command(text)).effect in Effect


@given(
    st.sampled_from(corpus("reads")),
    st.sampled_from([";", "&", "|", "\n", ">", "<", "`", "$(", "&&", "||", "\\\n;", "'", "\u2028"]),
    st.sampled_from(["id", "rm x", "sh", "/tmp/x"]),
)
def test_nothing_that_is_added_behind_a_read_runs(read: str, sign: str, more: str) -> None:
    added = parse_command(f"{read} {sign} {more}")
    assert check_any(READING, added).effect is not Effect.ALLOW
