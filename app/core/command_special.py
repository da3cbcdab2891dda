"""Programs that run others in ways of their own: ``sh -c``, ``find -exec``, ``tar``, SQL."""

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Final

from app.core import command_tools
from app.core.command_parts import Program, Word
from app.core.command_sql import sql_code
from app.core.command_wrappers import (
    Argv,
    Code,
    Doubt,
    Inner,
    Script,
    following,
    is_long,
    joined,
    options,
    read_options,
)

SHELLS: Final = frozenset({
    "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "rbash", "pwsh",
    "posh", "yash", "rksh", "lksh", "elvish", "nu",
})  # fmt: skip

_SHELL_OPTIONS: Final = options("-O= +O= -o= +o= --rcfile= --init-file=")
_CODE_FLAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "python": ("-c",),
    "perl": ("-e", "-E"),
    "ruby": ("-e",),
    "node": ("-e", "-p", "--eval", "--print"),
    "php": ("-r", "-B", "-R", "-E"),
    "lua": ("-e",),
    "tclsh": (),
    "osascript": ("-e",),
    "R": ("-e",),
    "Rscript": ("-e",),
    "deno": (),
    "bun": ("-e", "-p", "--eval"),
    "mongosh": ("--eval",),
    "mongo": ("--eval",),
    "gdb": ("-ex", "-iex", "--eval-command", "--init-eval-command"),
    "emacs": ("--eval", "--execute"),
    "expect": ("-c",),
}
"""Interpreters, with the options whose value is code."""

_AWK_OPTIONS: Final = options(
    "-F= -v= -f= -i= -l= -E= -W= -e= --file= --assign= --field-separator= --include= --load= "
    "--exec= --source= -b -c -C -h -n -N -O -P -r -s -S -t -V --posix --re-interval --sandbox "
    "--traditional --version --help --characters-as-bytes"
)
_SED_OPTIONS: Final = options(
    "-n -E -r -s -z -u -i -b --quiet --silent --regexp-extended --separate --null-data "
    "--unbuffered --posix --debug --sandbox --in-place --follow-symlinks --binary --version --help "
    "-e= -f= -l= --expression= --file= --line-length="
)


def special(program: Program) -> list[Inner]:
    """Return what a program runs inside its arguments."""
    handler = HANDLERS.get(program.name)
    if handler is not None:
        return handler(program)
    if program.name in SHELLS:
        return _shell(program)
    if program.name in _CODE_FLAGS:
        return _interpreter(program)
    return []


def _shell(program: Program) -> list[Inner]:
    words, inner = list(program.words), list[Inner]()
    if _shell_options(words):
        words = [word for word in words if word.text not in {"-", "--"}] or [Word("", known=False)]
        inner.append(Script(words[0]))
        if words[0].text.find("$") >= 0 and words[1:]:
            inner.append(Doubt("a shell's command uses arguments that are given beside it"))
    elif not words and program.fed:
        inner.extend(_fed_shell(program))
    return inner


def _shell_options(words: list[Word]) -> bool:
    """Take the options of a shell from its words; return whether a command is among them."""
    commanded = False
    while words and words[0].text.startswith(("-", "+")):
        text = words.pop(0).text
        if text in {"-", "--"}:
            break
        if text in _SHELL_OPTIONS.values and words:
            words.pop(0)
        elif not text.startswith("--"):
            commanded |= "c" in text
    return commanded


def _fed_shell(program: Program) -> list[Inner]:
    bodies = [one.body for one in program.redirects if one.body is not None]
    if bodies:
        return [Script(body) for body in bodies]
    return [Doubt("a shell runs what another program or a file hands it")]


def _interpreter(program: Program) -> list[Inner]:
    flags, inner = _CODE_FLAGS[program.name], list[Inner]()
    words = program.words
    for at, word in enumerate(words):
        for flag in flags:
            if word.text == flag and at + 1 < len(words):
                inner.append(Code(program.name, words[at + 1]))
            elif flag.startswith("--") and word.text.startswith(f"{flag}="):
                inner.append(Code(program.name, Word(word.text.partition("=")[2], word.known)))
            elif _bundled(word.text, flag):
                rest = word.text.partition(flag[1])[2]
                inner.append(Code(program.name, Word(rest) if rest else following(words, at)))
    if program.fed and not inner and all(word.text.startswith("-") for word in words):
        inner.append(Doubt(f"{program.name} runs what another program or a file hands it"))
    return inner


def _bundled(text: str, flag: str) -> bool:
    short = len(flag) == 2 and text[:1] == "-" and text[:2] != "--"  # noqa: PLR2004 (dash, letter)
    head = re.match(r"-[A-Za-z0-9]*", text) if short and text != flag else None
    return head is not None and flag[1] in head[0][1:]


def _env(program: Program) -> list[Inner]:
    """``env -S 'words'``: the value is split into words that come first."""
    words = program.words
    for at, word in enumerate(words):
        text = word.text
        if not text.startswith("-") or text == "--":
            break
        name, equals, value = text.partition("=")
        long = len(name) > 3 and "--split-string".startswith(name)  # noqa: PLR2004
        if long:
            rest = words[at + 1 :]
            given = Word(value, word.known) if equals else (rest[0] if rest else Word(""))
            return _split(given, rest if equals else rest[1:])
        if found := re.match(r"-[iv0]*S(.*)", text, re.DOTALL):
            rest = words[at + 1 :]
            given = Word(found[1], word.known) if found[1] else (rest[0] if rest else Word(""))
            return _split(given, rest if found[1] else rest[1:])
    return []


def _split(given: Word, rest: tuple[Word, ...]) -> list[Inner]:
    doubt = Doubt("env splits a string into words in its own way")
    try:
        pieces = shlex.split(given.text)
    except ValueError:
        return [doubt]
    words = (*(Word(piece, given.known) for piece in pieces), *rest)
    inner = special_words("env", words)
    return [*inner, doubt] if not given.known or "$" in given.text or "\\" in given.text else inner


def special_words(name: str, words: tuple[Word, ...]) -> list[Inner]:
    """Return a program as it stands, to be taken apart like any other."""
    return [Argv((Word(name), *words))]


def _su(program: Program) -> list[Inner]:
    inner = list[Inner]()
    for at, word in enumerate(program.words):
        name, equals, value = word.text.partition("=")
        if (len(name) > 3 and "--command".startswith(name)) or name.startswith("--sess"):  # noqa: PLR2004
            inner.append(
                Script(Word(value, word.known) if equals else following(program.words, at))
            )
        elif re.match(r"-[lmpfP]*c", word.text):
            rest = word.text.partition("c")[2]
            inner.append(Script(Word(rest) if rest else following(program.words, at)))
    if not inner and not {"--help", "--version"} & set(program.texts):
        inner.append(Doubt(f"{program.name} starts a shell"))
    return inner


_RUNUSER: Final = options(
    "-f -l -m -p -P --fast --login --preserve-environment --pty -u= -g= -G= -s= -w= --user= "
    "--group= --supp-group= --shell= --whitelist-environment="
)


def _runuser(program: Program) -> list[Inner]:
    """``runuser -u USER COMMAND``, or the options of su."""
    found = read_options(program.words, _RUNUSER)
    if found.unknown or not {"-u", "--user"} & set(found.given):
        return _su(program)
    return [Argv(tuple(found.operands))] if found.operands else []


def _find(program: Program) -> list[Inner]:
    words, inner, at = program.words, list[Inner](), 0
    while at < len(words):
        text = words[at].text
        at += 1
        if text not in {"-exec", "-execdir", "-ok", "-okdir"}:
            continue
        end = at
        while end < len(words) and words[end].text not in {";", "+"}:
            end += 1
        if end > at:
            inner.append(Argv(tuple(words[at:end]), more=True))
        at = end
    return inner


def _fd(program: Program) -> list[Inner]:
    words = program.words
    for at, word in enumerate(words):
        if word.text in {"-x", "-X", "--exec", "--exec-batch"} and words[at + 1 :]:
            return [Argv(tuple(words[at + 1 :]), more=True)]
        if word.text.startswith(("--exec", "-x", "-X")):
            return [Doubt("fd runs a program for each file")]
    return []


def _eval(program: Program) -> list[Inner]:
    return [Script(joined(program.words)), Doubt("eval reads its words once more")]


def _trap(program: Program) -> list[Inner]:
    texts = [word for word in program.words if not word.text.startswith("-")]
    return [Script(texts[0])] if texts and texts[0].text else []


def _source(program: Program) -> list[Inner]:
    return [Doubt("it runs commands from a file")] if program.words else []


def _alias(program: Program) -> list[Inner]:
    values = [word for word in program.words if "=" in word.text]
    if not values:
        return []
    scripts = (Script(Word(word.text.partition("=")[2], word.known)) for word in values)
    return [*scripts, Doubt("it gives a program another name")]


def _awk(program: Program) -> list[Inner]:
    found = read_options(program.words, _AWK_OPTIONS)
    if found.unknown:
        return [Doubt("awk has an option that is not known here")]
    code = [value for name, value in found.values if name in {"-e", "--source"}]
    if {"-f", "-E", "-i", "-l", "--file", "--exec", "--include", "--load"} & set(found.given):
        return [Doubt("awk runs a program from a file")]
    if not code and found.operands:
        code = [found.operands[0]]
    return [Code("awk", word) for word in code]


def _sed(program: Program) -> list[Inner]:
    texts = [word for word in program.words if not word.text.startswith("-i")]
    operands, code, words = list[Word](), list[Word](), list(texts)
    while words:
        found = read_options(tuple(words), _SED_OPTIONS)
        if found.unknown:
            return [Doubt("sed has an option that is not known here")]
        code += [value for name, value in found.values if name in {"-e", "--expression"}]
        if any(name in {"-f", "--file"} for name, _ in found.values):
            return [Doubt("sed runs a program from a file")]
        operands += found.operands[:1]
        words = found.operands[1:]
    if not code and operands:
        code = [operands[0]]
    return [Code("sed", word) for word in code]


def _script(program: Program) -> list[Inner]:
    inner = list[Inner]()
    for at, word in enumerate(program.words):
        name, equals, value = word.text.partition("=")
        if is_long(name, "--command", 3):
            inner.append(
                Script(Word(value, word.known) if equals else following(program.words, at))
            )
        elif re.match(r"-[aefqI]*c", word.text):
            rest = word.text.partition("c")[2]
            inner.append(Script(Word(rest) if rest else following(program.words, at)))
    return inner


HANDLERS: Final[Mapping[str, Callable[[Program], list[Inner]]]] = {
    "env": _env,
    "su": _su,
    "sg": _su,
    "runuser": _runuser,
    "find": _find,
    "fd": _fd,
    "fdfind": _fd,
    "eval": _eval,
    "trap": _trap,
    "source": _source,
    ".": _source,
    "alias": _alias,
    "awk": _awk,
    "sed": _sed,
    "tar": command_tools.tar,
    "rsync": command_tools.rsync,
    "vi": command_tools.vi,
    "docker": command_tools.docker,
    "docker-compose": command_tools.DOCKER_EXEC,
    "kubectl": command_tools.kubectl,
    "git": command_tools.git,
    "script": _script,
    "ip": command_tools.ip,
    "ssh": command_tools.ssh,
    "mysql": lambda program: sql_code(program, ("-e", "--execute"), None),
    "psql": lambda program: sql_code(program, ("-c", "--command"), None),
    "sqlite3": lambda program: sql_code(program, ("-cmd",), 1),
    "clickhouse-client": lambda program: sql_code(program, ("-q", "--query"), None),
    "sqlcmd": lambda program: sql_code(program, ("-Q", "-q"), None),
    "cqlsh": lambda program: sql_code(program, ("-e", "--execute"), None),
    "duckdb": lambda program: sql_code(program, ("-c",), 1),
}
