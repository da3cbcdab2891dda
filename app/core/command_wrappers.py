"""Programs that run other programs: how the command inside one is found.

An option that isn't known here makes the line opaque: behind it the command can't be found with
certainty.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from app.core.command_parts import MORE, Assignment, Program, Word


@dataclass(frozen=True, slots=True)
class Argv:
    """A program with its words, as it stands inside another one's arguments."""

    words: tuple[Word, ...]
    fed: bool = False
    more: bool = False
    """More words come from elsewhere, such as the input of xargs."""
    assignments: tuple[Assignment, ...] = ()


@dataclass(frozen=True, slots=True)
class Script:
    """Text that a shell reads."""

    word: Word


@dataclass(frozen=True, slots=True)
class Code:
    """Text that another interpreter reads."""

    language: str
    word: Word


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why the inside of a program can't be explained."""

    reason: str


Inner: TypeAlias = Argv | Script | Code | Doubt


@dataclass(frozen=True, slots=True)
class Options:
    """Which options a program takes, as far as its operands are to be found.

    :ivar switches: options without value; letters alone, or long names with their dashes.
    :ivar values: options with one.
    """

    switches: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A program whose operands are a command.

    :ivar skip: operands before the command.
    :ivar joins: the operands are joined and read by a shell.
    :ivar assigns: ``NAME=value`` may stand before the command.
    :ivar strings: options whose value is read by a shell.
    """

    options: Options
    skip: int = 0
    joins: bool = False
    assigns: bool = False
    more: bool = False
    strings: tuple[str, ...] = ()


@dataclass(slots=True)
class Found:
    """What reading options came to."""

    operands: list[Word] = field(default_factory=list[Word])
    values: list[tuple[str, Word]] = field(default_factory=list[tuple[str, Word]])
    given: list[str] = field(default_factory=list[str])
    unknown: str = ""


def options(text: str) -> Options:
    """Return options from their short form: ``"-A -b -u= --user="``."""
    names = text.split()
    return Options(
        frozenset(name for name in names if not name.endswith("=")),
        frozenset(name[:-1] for name in names if name.endswith("=")),
    )


def read_options(words: tuple[Word, ...], known: Options) -> Found:
    """Return the options and operands; reading stops at the first operand."""
    found, at = Found(), 0
    while at < len(words):
        word = words[at]
        text = word.text
        if (
            word is not MORE
            and not word.plain
            and (not text.startswith("-") and _may_be_option(word))
        ):
            found.unknown = "an option that is not written out"
            return found
        if not text.startswith("-") or (text == "-" and text not in known.switches):
            break
        at += 1
        if text == "--":
            break
        value = _option(found, text, known)
        if found.unknown:
            return found
        if value:
            if at >= len(words):
                found.unknown = text
                return found
            found.values.append((value, words[at]))
            at += 1
    found.operands = list(words[at:])
    return found


def _may_be_option(word: Word) -> bool:
    return not word.known and (not word.pieces or not word.pieces[0])


def _option(found: Found, text: str, known: Options) -> str:
    """Enter one word of options; returns the option whose value is the next word."""
    name, equals, value = text.partition("=")
    if name in known.values or name in known.switches:
        found.given.append(name)
        if equals:
            found.values.append((name, Word(value)))
            return ""
        return name if name in known.values else ""
    if text.startswith("--"):
        return _abbreviated(found, name, Word(value) if equals else None, known)
    return _bundle(found, text, known)


def _abbreviated(found: Found, name: str, value: Word | None, known: Options) -> str:
    matches = [one for one in (*known.values, *known.switches) if one.startswith(name)]
    if len(matches) != 1:
        found.unknown = name
        return ""
    found.given.append(matches[0])
    if value is not None:
        found.values.append((matches[0], value))
        return ""
    return matches[0] if matches[0] in known.values else ""


def _bundle(found: Found, text: str, known: Options) -> str:
    for at, letter in enumerate(text[1:], 2):
        option = f"-{letter}"
        if option in known.values:
            found.given.append(option)
            if text[at:]:
                found.values.append((option, Word(text[at:].removeprefix("="))))
                return ""
            return option
        if option not in known.switches:
            found.unknown = text
            return ""
        found.given.append(option)
    return ""


def _wrapper(text: str, skip: int = 0, **more: bool) -> Wrapper:
    return Wrapper(options(text), skip, **more)  # pyright: ignore[reportArgumentType]


_SSH: Final = options(
    "-4 -6 -A -a -C -f -G -g -K -k -M -N -n -q -s -T -t -V -v -X -x -Y -y -B= -b= -c= -D= -E= -e= "
    "-F= -I= -i= -J= -L= -l= -m= -O= -o= -p= -Q= -R= -S= -W= -w="
)

WRAPPERS: Final[Mapping[str, Wrapper]] = {
    "sudo": _wrapper(
        "-A -B -b -E -H -i -K -k -l -N -n -P -S -s -V -v --askpass --background --bell "
        "--preserve-env --set-home --login --non-interactive --shell --stdin --reset-timestamp "
        "--list --validate -C= -D= -g= -h= -p= -R= -r= -T= -t= -U= -u= --user= --group= --prompt= "
        "--chdir= --host= --other-user= --command-timeout= --role= --type= --chroot= "
        "--close-from=",
        assigns=True,
    ),
    "doas": _wrapper("-L -n -s -a= -C= -u="),
    "pkexec": _wrapper("--disable-internal-agent --keep-cwd --user="),
    "env": _wrapper(
        "-i -0 -v - --ignore-environment --null --debug -u= -C= --unset= --chdir= --block-signal "
        "--default-signal --ignore-signal --list-signal-handling",
        assigns=True,
    ),
    "nohup": _wrapper(""),
    "setsid": _wrapper("-c -f -w --ctty --fork --wait"),
    "nice": _wrapper("-n= --adjustment= -0 -1 -2 -3 -4 -5 -6 -7 -8 -9 --help --version"),
    "ionice": _wrapper("-t --ignore -c= -n= --class= --classdata="),
    "chrt": _wrapper("-a -b -d -f -i -o -r -R -m -v -T= -P= -D=", 1),
    "taskset": _wrapper("-a -c --cpu-list --all-tasks", 1),
    "timeout": _wrapper(
        "-v --verbose --foreground --preserve-status -f -p -s= -k= --signal= --kill-after=", 1
    ),
    "stdbuf": _wrapper("-i= -o= -e= --input= --output= --error="),
    "unbuffer": _wrapper("-p"),
    "time": _wrapper("-p -v -a --verbose --append --portability -o= -f= --output= --format="),
    "command": _wrapper("-p -v -V"),
    "builtin": _wrapper(""),
    "exec": _wrapper("-c -l -a="),
    "coproc": _wrapper(""),
    "busybox": _wrapper(""),
    "toybox": _wrapper(""),
    "chroot": _wrapper("--skip-chdir --userspec= --groups=", 1),
    "nsenter": _wrapper(
        "-a -m -u -i -n -p -U -C -T -F -Z -e -r -w --all --mount --uts --ipc --net --pid --user "
        "--cgroup --time --no-fork --preserve-credentials --root --wd --env -t= --target= -S= -G= "
        "--setuid= --setgid="
    ),
    "unshare": _wrapper(
        "-m -u -i -n -p -U -C -T -f -r -c --mount --uts --ipc --net --pid --user --cgroup --time "
        "--fork --map-root-user --map-current-user --mount-proc --keep-caps -R= -w= -S= -G= --root="
    ),
    "flock": Wrapper(
        options(
            "-e -F -n -o -s -u -x --exclusive --nonblock --nb --shared --unlock --close --no-fork "
            "-w= -E= --timeout= --wait= --conflict-exit-code= -c= --command="
        ),
        1,
        strings=("-c", "--command"),
    ),
    "systemd-run": _wrapper(
        "--scope --user --system -r --remain-after-exit -d --same-dir -t --pty -P --pipe -S "
        "--shell "
        "-q --quiet -G --collect --wait --no-block -u= --unit= -p= --property= --description= "
        "--slice= --uid= --gid= --nice= --working-directory= -E= --setenv= -H= --host= -M= "
        "--machine= --on-active= --on-boot= --on-calendar= --service-type= --timer-property="
    ),
    "systemd-inhibit": _wrapper("--what= --who= --why= --mode= --list --no-pager --no-legend"),
    "setpriv": _wrapper(
        "-d --dump --clear-groups --keep-groups --init-groups --no-new-privs --reset-env --reuid= "
        "--regid= --ruid= --euid= --groups= --inh-caps= --bounding-set= --ambient-caps="
    ),
    "strace": _wrapper(
        "-A -c -C -d -D -f -F -h -i -k -n -N -q -r -t -T -v -V -w -x -X -y -Y -z -Z -a= -b= -e= "
        "-E= -I= -o= -O= -p= -P= -s= -S= -u= -U= --version"
    ),
    "ltrace": _wrapper("-c -C -f -h -i -L -r -S -t -T -V -a= -A= -D= -e= -l= -n= -o= -p= -s= -u="),
    "setarch": _wrapper("-R -B -F -I -L -S -T -X -Z -v --addr-no-randomize", 1),
    "prlimit": _wrapper("--noheadings --raw --verbose -o= -p= --pid= --nofile= --nproc= --core="),
    "numactl": _wrapper("-H -s -a -l --hardware --show -N= -m= -p= -C= -i="),
    "rlwrap": _wrapper("-a -c -C= -f= -H= -i -n -N -p -r"),
    "proxychains": _wrapper("-q -f="),
    "proxychains4": _wrapper("-q -f="),
    "torsocks": _wrapper("-i -q -d"),
    "fakeroot": _wrapper("-u -b= -i= -l= -s= --"),
    "xvfb-run": _wrapper("-a -e= -f= -l -n= -p= -s= -w="),
    "dbus-run-session": _wrapper("--config-file= --dbus-daemon="),
    "ssh-agent": _wrapper("-D -d -k -s -c -a= -t= -E= -P= -O="),
    "faketime": _wrapper("-f -m -p=", 1),
    "sshpass": _wrapper("-e -v -f= -d= -p= -P="),
    "caffeinate": _wrapper("-d -i -m -s -u -t= -w="),
    "watch": _wrapper(
        "-b -c -C -d -e -g -p -r -t -w -x --beep --color --no-color --differences --errexit "
        "--chgexit --precise --no-title --no-wrap --exec -n= --interval= -q= --equexit=",
        joins=True,
    ),
    "ssh": Wrapper(_SSH, 1, joins=True),
    "xargs": _wrapper(
        "-0 -o -p -r -t -x --null --interactive --no-run-if-empty --verbose --exit --open-tty "
        "-a= -d= -E= -I= -L= -n= -P= -s= --arg-file= --delimiter= --replace= --max-lines= "
        "--max-args= --max-procs= --max-chars= --process-slot-var=",
        more=True,
    ),
    "parallel": _wrapper(
        "-0 -k -u -v -t -X -m -q --null --keep-order --ungroup --verbose --dry-run --bar --pipe "
        "-j= "
        "-n= -N= -I= -d= -a= -L= --jobs= --max-args= --delay= --timeout= --retries= --colsep= -C= "
        "--halt= --joblog=",
        joins=True,
        more=True,
    ),
}  # fmt: skip


def inside(program: Program) -> list[Inner] | None:
    """Return what a wrapper runs; None for a program that is no wrapper."""
    wrapper = WRAPPERS.get(program.name)
    if wrapper is None:
        return None
    found = read_options(program.words, wrapper.options)
    if found.unknown:
        return [Doubt(f"{program.name} has an option that is not known here")]
    inner = list[Inner](Script(value) for name, value in found.values if name in wrapper.strings)
    words = found.operands[wrapper.skip :]
    if program.name == "command" and {"-v", "-V"} & set(found.given):
        return inner
    return [*inner, *_command(program, wrapper, words)]


def _command(program: Program, wrapper: Wrapper, words: list[Word]) -> list[Inner]:
    """Return the command that stands behind a wrapper's options."""
    assigned = list[Assignment]()
    while wrapper.assigns and words and (one := _assigned(words[0])):
        assigned.append(one)
        words = words[1:]
    if wrapper.strings and words[1:] and words[0].text in wrapper.strings:
        return [Script(words[1])]
    if not words:
        return []
    if not wrapper.joins:
        return [Argv(tuple(words), program.fed, wrapper.more, tuple(assigned))]
    doubt = Doubt(f"{program.name} adds words to the command")
    return [Script(joined(words)), *([doubt] if wrapper.more else ())]


def _assigned(word: Word) -> Assignment | None:
    name, equals, value = word.text.partition("=")
    if not equals or not name.isidentifier():
        return None
    return Assignment(name, Word(value, word.known))


def joined(words: list[Word] | tuple[Word, ...]) -> Word:
    """Return the words as one, as a program does that hands them to a shell."""
    known = all(word.known for word in words)
    return Word(" ".join(word.text for word in words), known)


def following(words: tuple[Word, ...], at: int) -> Word:
    """Return the word behind one; an unknown one where there is none."""
    return words[at + 1] if at + 1 < len(words) else Word("", known=False)


def is_long(given: str, name: str, least: int) -> bool:
    """Whether a word is a long option, or an abbreviation of it."""
    return len(given) >= least and name.startswith(given)
