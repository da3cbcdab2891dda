"""Tools with options that run programs: ``tar``, ``git``, ``docker exec``, ``ssh -o``."""

import re
from collections.abc import Callable
from typing import Final

from app.core.command_parts import Program, Word
from app.core.command_wrappers import (
    WRAPPERS,
    Argv,
    Doubt,
    Inner,
    Script,
    following,
    is_long,
    options,
    read_options,
)


def tar(program: Program) -> list[Inner]:
    """Return what tar runs for its archive or its checkpoints."""
    inner = list[Inner]()
    words = program.words
    for at, word in enumerate(words):
        name, equals, value = word.text.partition("=")
        given = Word(value, word.known) if equals else following(words, at)
        if is_long(name, "--checkpoint-action", 13):
            action = given.text
            if action.startswith("exec"):
                inner += _given_program(Word(action.partition("=")[2], given.known))
            elif not given.known:
                inner.append(Doubt("tar has an action that is not written out"))
        elif any(
            is_long(name, long, least)
            for long, least in (("--to-command", 4), ("--use-compress-program", 4),
                                ("--rsh-command", 4), ("--info-script", 4),
                                ("--new-volume-script", 5), ("--rmt-command", 4))
        ):  # fmt: skip
            inner += _given_program(given)
        elif re.fullmatch(r"-?[A-Za-z]*[IF].*", word.text) and not word.text.startswith("--"):
            inner += _tar_bundle(words, at)
    return inner


_COMPRESSORS: Final = re.compile(
    r"(gzip|pigz|bzip2|pbzip2|xz|pixz|zstd|lz4|lzop|zstdmt|brotli)"
    r"( -[0-9A-Za-z]+| --[a-z]+=?[0-9]*)*"
)


def _given_program(word: Word) -> list[Inner]:
    """Return a program that tar is told to run."""
    if word.known and _COMPRESSORS.fullmatch(word.text):
        return [Script(word)]
    return [Script(word), Doubt("tar is given a program to run")]


def _tar_bundle(words: tuple[Word, ...], at: int) -> list[Inner]:
    text = words[at].text
    if not text.startswith("-") and at:
        return []
    letters = re.match(r"-?([A-Za-z]*)", text)
    head = letters[1] if letters else ""
    for place, letter in enumerate(head):
        if letter in "fbCgKLNTVXH" and text.startswith("-"):
            return []
        if letter in "IF" and text.startswith("-"):
            rest = text[place + 2 :]
            return _given_program(Word(rest) if rest else following(words, at))
        if letter in "IF":
            return [Doubt("tar is given a program to run")]
    return []


def rsync(program: Program) -> list[Inner]:
    """Return the shell that rsync connects by."""
    inner, words = list[Inner](), program.words
    for at, word in enumerate(words):
        name, equals, value = word.text.partition("=")
        long = any(is_long(name, one, 4) for one in ("--rsh", "--rsync-path"))
        if long or re.match(r"-[A-Za-z0-9]*e", word.text):
            rest = value if long and equals else ("" if long else word.text.partition("e")[2])
            given = Word(rest.removeprefix("="), word.known) if rest else following(words, at)
            inner.append(Script(given))
    return inner


def vi(program: Program) -> list[Inner]:
    """Doubt an editor that is given commands."""
    commands = any(
        word.text.startswith(("-c", "+", "--cmd", "-S", "-s", "-u")) for word in program.words
    )
    return [Doubt(f"{program.name} is given commands of its own")] if commands else []


def _remote(skip: tuple[str, ...], known: str) -> Callable[[Program], list[Inner]]:
    """Return the handler for ``docker exec``: options, the container, the command."""
    read = options(known)

    def handler(program: Program) -> list[Inner]:
        at = _after(program.words, skip)
        if at is None:
            return []
        found = read_options(program.words[at:], read)
        if found.unknown:
            return [Doubt(f"{program.name} has an option that is not known here")]
        words = found.operands[1:]
        return [Argv(tuple(words), program.fed)] if words else []

    return handler


def _after(words: tuple[Word, ...], names: tuple[str, ...]) -> int | None:
    """Return the place behind a sub-command, which options with values may precede."""
    after_option = False
    for at, word in enumerate(words):
        if word.text in names:
            return at + 1
        if word.text.startswith("-"):
            after_option = "=" not in word.text
        elif after_option or word.text in {"container", "compose"}:
            after_option = False
        else:
            return None
    return None


DOCKER_EXEC: Final = _remote(
    ("exec",),
    "-d -i -t --detach --interactive --tty --privileged -T --no-TTY -e= --env= --env-file= -u= "
    "--user= -w= --workdir= --detach-keys= --index=",
)
_DOCKER_RUN: Final = _remote(
    ("run", "create"),
    "-d -i -t -P -q --detach --interactive --tty --rm --init --privileged --read-only "
    "--no-healthcheck "
    "--publish-all --oom-kill-disable --sig-proxy --quiet -e= --env= --env-file= -u= --user= -w= "
    "--workdir= -v= --volume= --mount= -p= --publish= --name= --network= --net= --entrypoint= -h= "
    "--hostname= -m= --memory= --cpus= --cap-add= --cap-drop= --security-opt= --restart= -l= "
    "--label= --add-host= --dns= --device= --pid= --ipc= --platform= --pull= --shm-size= --tmpfs= "
    "--ulimit= --userns= --volumes-from= --log-driver= --log-opt= --gpus= --cgroupns= --expose=",
)


def docker(program: Program) -> list[Inner]:
    """Return what runs inside a container."""
    return [*DOCKER_EXEC(program), *_DOCKER_RUN(program)]


def kubectl(program: Program) -> list[Inner]:
    """Return what runs inside a pod."""
    words = program.words
    texts = program.texts
    if not {"exec", "run", "debug"} & set(texts):
        return []
    if "--" in texts:
        rest = words[texts.index("--") + 1 :]
        return [Argv(rest, program.fed)] if rest else []
    return [Doubt("the command inside the container can't be told from options")]


_GIT_PROGRAMS: Final = (
    "--config-env", "--exec-path=", "--upload-pack", "--receive-pack", "--exec=",
    "--open-files-in-pager", "-O",
)  # fmt: skip


def git(program: Program) -> list[Inner]:
    """Return what settings, aliases and options make git run."""
    inner, words = list[Inner](), program.words
    for at, word in enumerate(words):
        text = word.text
        if text == "-c" or (text.startswith("-c") and "=" in text and not text.startswith("--")):
            setting = text[2:] or following(words, at).text
            inner += _git_setting(setting)
        elif text in {"-x", "--exec"} or text.startswith(_GIT_PROGRAMS):
            inner.append(Doubt("git is given a program to run"))
        elif text.startswith("ext::"):
            inner.append(Doubt("git is given a program as a transport"))
    rest = [word for word in words if not word.text.startswith("-")]
    if len(rest) > 1 and rest[0].text == "bisect" and rest[1].text == "run":
        inner.append(Argv(tuple(rest[2:])))
    if "filter-branch" in program.texts or "foreach" in program.texts:
        inner.append(Doubt("git is given a program to run"))
    return inner


_GIT_HARMLESS: Final = re.compile(
    r"(?i)(color\.|advice\.|core\.(quotepath|abbrev|autocrlf|fileMode|preloadindex"
    r"|ignorecase)|log\."
    r"|safe\.directory|user\.(name|email)|diff\.(renames|context|algorithm)|init\.defaultbranch"
    r"|column\.|status\.|gc\.auto|protocol\.version|http\.lowspeed|pager\.[a-z]+=(false|true|0|1)$"
    r"|core\.pager=(cat|less)?$)"
)


def _git_setting(setting: str) -> list[Inner]:
    if _GIT_HARMLESS.match(setting):
        return []
    if setting.lower().startswith("alias.") and "=!" in setting:
        return [Script(Word(setting.partition("=!")[2])), Doubt("git is given an alias")]
    return [Doubt("git is given a setting that may run a program")]


def ip(program: Program) -> list[Inner]:
    """Return what runs inside a network namespace."""
    texts = program.texts
    for at, text in enumerate(texts[:-1]):
        if text and "netns".startswith(text) and text[0] == "n" and len(text) > 2:  # noqa: PLR2004
            if not ("exec".startswith(texts[at + 1]) and texts[at + 1]):
                return []
            rest = program.words[at + 2 :]
            rest = rest if "-all" in texts or "-a" in texts else rest[1:]
            return [Argv(rest)] if rest else []
    return []


def ssh(program: Program) -> list[Inner]:
    """Return what the settings of ssh make it run here."""
    found = read_options(program.words, WRAPPERS["ssh"].options)
    inner = list[Inner]()
    for name, value in found.values:
        setting = value.text.replace(" ", "=").partition("=")
        if name != "-o" or setting[0].lower() not in {
            "proxycommand", "localcommand", "permitlocalcommand", "knownhostscommand", "match",
            "include", "pkcs11provider", "securitykeyprovider",
        }:  # fmt: skip
            continue
        inner += [Script(Word(setting[2].strip())), Doubt("ssh is given a program to run")]
    if {"-F", "-I"} & set(found.given):
        inner.append(Doubt("ssh is given a file of settings"))
    return inner
