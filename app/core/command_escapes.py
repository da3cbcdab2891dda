"""How a shell reads the characters of a word: backslashes, ``$'...'``, names of programs."""

import re
from typing import Final

_BARE: Final = re.compile(r"\\(\n|.)", re.DOTALL)
_QUOTED: Final = re.compile(r'\\([\\"$`\n])')
_VERSION: Final = re.compile(r"(python|pypy|perl|ruby|php|node|lua|tclsh|gcc|nodejs|bash)[0-9.-]+")
_ANSI: Final = re.compile(
    r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})|c(.)|(.))",
    re.DOTALL,
)
_CODED: Final = re.compile(r"(?<!\\)(?:\\\\)*\\[xXuU0-7c]")
_LETTERS: Final = {
    "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
    "v": "\v",
}  # fmt: skip
_LARGEST: Final = 0x10FFFF

_ALIASES: Final = {"nodejs": "node", "pypy": "python", "ksh93": "ksh", "gawk": "awk",
                   "mawk": "awk", "nawk": "awk", "original-awk": "awk", "gsed": "sed",
                   "mariadb": "mysql", "egrep": "grep", "fgrep": "grep", "gtar": "tar",
                   "bsdtar": "tar", "vim": "vi", "nvim": "vi", "view": "vi", "ex": "vi",
                   "vim.basic": "vi", "vim.tiny": "vi", "rvim": "vi", "ncat": "nc",
                   "netcat": "nc", "nc.openbsd": "nc", "nc.traditional": "nc",
                   "docker-compose": "docker-compose", "podman": "docker", "nerdctl": "docker",
                   "oc": "kubectl", "k3s-kubectl": "kubectl", "grm": "rm"}  # fmt: skip
"""Other names of the same programs, where all that matters here is the same."""


def shells_differ(raw: str) -> bool:
    r"""Whether fish reads a bare or single-quoted word in another way than the shells of POSIX.

    It knows ``\x41`` outside quotes, and ``\'`` inside single ones.
    """
    if "\\" not in raw:
        return False
    return raw.endswith("\\'") if raw[0] == "'" else _CODED.search(raw) is not None


def braces(raw: str) -> bool:
    """Whether the shell may make several words of an unquoted one."""
    raw = raw.replace("{}", "")  # stands for itself
    return "{" in raw and "}" in raw and ("," in raw or ".." in raw)


def bare(raw: str) -> str:
    """Return an unquoted word without its backslashes."""
    if "\\" not in raw:
        return raw
    return _BARE.sub(lambda found: "" if found[1] == "\n" else found[1], raw)


def double_quoted(inner: str) -> str:
    """Return what stands between double quotes, without the backslashes that have an effect."""
    if "\\" not in inner:
        return inner
    return _QUOTED.sub(lambda found: "" if found[1] == "\n" else found[1], inner)


def ansi_quoted(inner: str) -> str:
    """Return what ``$'...'`` stands for in the shells that know it."""

    def decoded(found: re.Match[str]) -> str:
        code = next((int(digits, 16) for digits in found.groups()[:3] if digits), None)
        if code is None and found[4]:
            code = int(found[4], 8) & 0xFF
        if code is None and found[5]:
            code = ord(found[5].upper()) ^ 0x40
        if code is None:
            return _LETTERS.get(found[6], found[6])
        return chr(code) if code <= _LARGEST else "\ufffd"

    return _ANSI.sub(decoded, inner)


def resolved(name: str) -> str:
    """Return a program's usual name: without a version, and one name for its variants."""
    if name[-1:].isdigit() and (found := _VERSION.fullmatch(name)):
        name = found[1]
    return _ALIASES.get(name, name)
