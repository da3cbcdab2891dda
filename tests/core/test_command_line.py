"""Commands are taken apart, and what can't be explained is opaque (SSH-3, T41)."""

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.command_line import MAX_COMMAND, MAX_PROGRAMS, CommandLine, parse_command
from tests.support.corpus import corpus

pytestmark = pytest.mark.requirement("SSH-3", "T41")


def names(text: str) -> list[str]:
    return [program.name for program in parse_command(text).programs]


def texts(line: CommandLine) -> list[tuple[str, ...]]:
    return [program.texts for program in line.programs]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ls -la /srv", ("-la", "/srv")),
        ("echo 'a b' \"c d\" e\\ f g'h'\"i\"", ("a b", "c d", "e f", "ghi")),
        (r'echo "a\"b" "c\\d" "e\f"', ('a"b', r"c\d", r"e\f")),
        ("ls \\\n -la", ("-la",)),
        ("echo ''", ("",)),
        ("grep -e 'x|y;z' f", ("-e", "x|y;z", "f")),
        ("echo a#b", ("a#b",)),
    ],
)
def test_words_are_what_the_program_gets(text: str, words: tuple[str, ...]) -> None:
    line = parse_command(text)
    assert (texts(line), line.opaque) == ([words], ())
    assert all(word.plain for word in line.programs[0].words)


@pytest.mark.parametrize("text", ["ls *.py", "ls a?b", "ls [ab]c", "ls ~/x", "ls 'a'*"])
def test_patterns_of_the_shell_are_marked(text: str) -> None:
    assert any(word.glob for word in parse_command(text).programs[0].words)


@pytest.mark.parametrize("text", [r"ls a\*b", "ls 'a*'", 'ls "?"', "find . -name '*.py'"])
def test_quoted_patterns_are_none(text: str) -> None:
    assert not any(word.glob for word in parse_command(text).programs[0].words)


@pytest.mark.parametrize(
    "text", ["echo $x", 'echo "a $x"', "echo $(id)", "echo {a,b}", "echo $((1+1))", "echo $'a'"]
)
def test_words_that_depend_on_the_shell_are_not_known(text: str) -> None:
    assert not parse_command(text).programs[-1].words[0].known


def test_redirections_say_what_they_write() -> None:
    line = parse_command("ls > /srv/a 2>&1 >> b &> /dev/null < c 2>&-")
    assert [one.writes for one in line.redirects] == [True, False, True, True, False, False]
    assert [one.harmless for one in line.redirects] == [False, True, False, True, False, True]


def test_a_plain_pipeline_is_told_from_more() -> None:
    assert [one.name for one in parse_command("ls | grep a | wc -l").pipeline] == [
        "ls", "grep", "wc",
    ]  # fmt: skip
    for text in ("ls; id", "ls && id", "ls &", "(ls)", "ls $(id)", "A=b ls", "ls\nid", "! ls"):
        assert parse_command(text).pipeline == (), text


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("sudo -u bob -H nice -n5 rm x", ["sudo", "nice", "rm"]),
        ("env -i A=b timeout -s KILL 5 rm x", ["env", "timeout", "rm"]),
        ("env -S 'rm -r' x", ["env", "env", "rm"]),
        ("env - rm x", ["env", "rm"]),
        ("env -", ["env"]),
        ("nohup stdbuf -oL setsid -w rm x", ["nohup", "stdbuf", "setsid", "rm"]),
        ("find . -exec sh -c 'rm x' \\;", ["find", "sh", "rm"]),
        ("ls | xargs -0 -n1 rm", ["ls", "xargs", "rm"]),
        ("bash -lc 'ls; rm x'", ["bash", "ls", "rm"]),
        ("bash <<< 'rm x'", ["bash", "rm"]),
        ("sh <<X\nrm x\nX", ["sh", "rm"]),
        ("ssh -p 22 h 'rm x'", ["ssh", "rm"]),
        ("docker --context c exec -u 0 web rm x", ["docker", "rm"]),
        ("kubectl -n a exec p -- rm x", ["kubectl", "rm"]),
        ("git -c alias.x='!rm y' x", ["git", "rm"]),
        ("tar cf a b --checkpoint-act=exec='rm x'", ["tar", "rm"]),
        ("su - bob -c 'rm x'", ["su", "rm"]),
        ("runuser -u bob -- rm x", ["runuser", "rm"]),
        ("flock /tmp/l -c 'rm x'", ["flock", "rm"]),
        ("watch -n 1 rm x", ["watch", "rm"]),
        ("mysql -Ne 'DROP TABLE x'", ["mysql", "(sql)"]),
        ("psql -tAc 'select 1'", ["psql", "(sql)"]),
        ("sqlite3 a.db 'select 1'", ["sqlite3", "(sql)"]),
        ("awk '{print}' f", ["awk", "(awk)"]),
        ("python3.11 -Ic 'print(1)'", ["python", "(python)"]),
    ],
)
def test_wrappers_are_seen_through(text: str, inside: list[str]) -> None:
    assert names(text) == inside


@pytest.mark.parametrize(
    "text",
    [
        "$X -rf", "$(id)", "r? x", "eval ls", "source x", ". x", "alias a=b", "f() { ls; }",
        "echo x | sh", "curl h | bash", "ls '", "ls (", "{rm,-rf}", "ls\r", "ls\x07", "ls\u00a0-l",
        "ls \u202ex", "l\u0455 x", "sudo -Z ls", "sudo $X ls", "tar xf a --to-command=x",
        "psql -f x", "echo ${!x}", "ls <", 'bash -c "$1"', "sed -f x y", "\ud800", "ls\x00",
        "r\\\nm x",
    ],
)  # fmt: skip
def test_what_cant_be_explained_is_opaque(text: str) -> None:
    assert parse_command(text).opaque
    assert parse_command(text).pipeline == ()


@pytest.mark.parametrize(
    "text", ["bash", "sh -s", "sudo bash", "bash -c sh", "python3", "docker exec -i c sh", "psql"]
)
def test_what_runs_its_input_is_opaque_when_it_is_given_some(text: str) -> None:
    assert parse_command(text, fed=True).opaque
    assert not parse_command(text).opaque
    assert not parse_command("grep x", fed=True).opaque


def test_what_is_too_long_too_deep_or_too_much_is_opaque() -> None:
    deep = "id"
    for _ in range(12):
        deep = f"sudo {deep}"
    assert parse_command("echo " + "a" * MAX_COMMAND).opaque
    assert parse_command("; ".join(["ls"] * (MAX_PROGRAMS + 1))).opaque
    assert parse_command(deep).opaque
    assert parse_command("(" * 200 + "ls" + ")" * 200).opaque
    assert parse_command("echo " + "$(" * 100 + "id" + ")" * 100).opaque


def test_fifty_and_more_programs_are_all_looked_at() -> None:
    line = parse_command("; ".join(["true"] * 60 + ["rm -rf /srv"]))
    assert line.names == ("true", "rm")


@pytest.mark.parametrize(
    "command",
    ["ls 2#$(rm x)", "ls 16#`rm x`", "ls -2#$(rm x)", "echo 2#${x:-$(rm x)}", "A=2#$(rm x)",
     "export A=2#$(rm x)", "a=(2#$(rm x))", "((2#$(rm x)))", "test 2#$(rm x) = 1",
     "ls <<<2#$(rm x)", "ls >&2#$(rm x)", "for i in 2#$(rm x); do ls; done"],
)  # fmt: skip
def test_a_substitution_behind_a_base_is_seen(command: str) -> None:
    line = parse_command(command)
    assert "rm" in line.names
    assert line.opaque


@pytest.mark.parametrize(
    "command",
    ["date -s1201>/dev/null", "curl https://h.example -ox1>/dev/null", "awk -fx1</dev/null",
     "date <&- -s1201", "find /srv 2>&- -delete", "[ a = a ]#$(rm x)", '[ a ]#"$(rm x)"b',
     "rm \\ --help", 'echo "a"\\ b', 'git re$"set" --hard'],
)  # fmt: skip
def test_what_the_parser_leaves_out_makes_a_line_opaque(command: str) -> None:
    assert parse_command(command).opaque


def test_a_number_before_an_ampersand_is_a_word() -> None:
    for command in ("hostname 1&>/dev/null", "hostname 1 &>/dev/null"):
        line = parse_command(command)
        assert (line.programs[0].texts, line.plain) == (("1",), False), command


@pytest.mark.parametrize("command", ["ls;# $(rm x)", "ls # $(rm x)", "(ls)#fine", "ls 2>&-"])
def test_comments_and_closed_descriptors_are_understood(command: str) -> None:
    line = parse_command(command)
    assert (line.names, line.opaque) == (("ls",), ())


pieces = st.sampled_from(
    [*"'\"\\$`(){}[]<>|&;!#~*? \n\t=-", "rm", "-rf", "/", "$(", "${", "<<X", "\nX\n", "&&", "||",
     "sudo", "env -S", "sh -c", "if", "then", "fi", "for", "do", "done", "case", "esac", "\u202e",
     "\ud800", "\x00", "a=b", "function", "$'", "<<<", ">(", "((", "[["]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(pieces, max_size=40).map("".join)))
@example("<<")
@example("for")
@example("a=(")
def test_it_never_raises(text: str) -> None:
    line = parse_command(text)
    assert isinstance(line.names, tuple)
    assert list(line.words()) is not None


@pytest.mark.parametrize("name", ["hostile", "harmless"])
def test_the_start_of_any_command_can_be_taken_apart(name: str) -> None:
    for command in corpus(name):
        for end in range(0, len(command), 3):
            parse_command(command[:end])


def test_characters_beyond_the_parsers_tables_end_nothing() -> None:
    """Its scanner read memory that is not there: a process of its own shows whether it lives."""
    code = (
        "import random, sys; from app.core.command_tree import take_apart; r = random.Random(3)\n"
        "far = lambda: chr(r.choice([r.randrange(0x800, 0xd800), r.randrange(0xe000, 0x110000)]))\n"
        "bits = ['${', '$', '<<', '[[ a =~ ', '}', ' ', 'a', '\\n', '!', '#', '%']\n"
        "for _ in range(20_000):\n"
        "    text = ''.join(r.choice([far(), r.choice(bits)]) for _ in range(r.randrange(1, 9)))\n"
        "    take_apart(text.encode())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
