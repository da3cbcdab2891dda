"""Lists of calls by method and path: an allow list is exact, a deny list knows other spellings."""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from app.core.conditions.glob import MAX_GLOB, Match, path_glob
from app.core.errors import Forbidden, InvalidField
from app.core.paths import CALLS

MAX_RULES: Final = 200
"""Most rules of a list, and most paths of a rule."""

_DECODINGS: Final = 4
_SHOWN: Final = 5


class CallNotPermitted(Forbidden):
    """The target's lists of calls do not let this call pass, whoever makes it."""

    code = "call_not_permitted"


@dataclass(frozen=True, slots=True)
class CallRule:
    """Calls with one of the methods at one of the paths (globs); none given means all."""

    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def permits(self, method: str, path: str) -> bool:
        """Whether a call is one of these, by the path exactly as it is sent."""
        return self.takes(method) and (
            not self.paths or any(_exact(glob)(path) is True for glob in self.paths)
        )

    def forbids(self, method: str, path: str) -> bool:
        """Whether a call is one of these, or an upstream might read its path as one of them.

        It is tried as it is, and without percent-encoding, path parameters, empty and dot
        segments, a last slash and differences of letter case. What cannot be told counts.
        """
        if not self.takes(method) or not self.paths:
            return self.takes(method)
        plain = plain_path(path)
        return any(
            _exact(glob)(path) is not False or _folded(glob)(plain) is not False
            for glob in self.paths
        )

    @property
    def everywhere(self) -> bool:
        """Whether it is about every path."""
        return not self.paths or "/**" in self.paths

    def takes(self, method: str) -> bool:
        """Whether it is about calls with the method."""
        return not self.methods or method in self.methods

    def __str__(self) -> str:
        """Return the rule as it is written in forms, such as ``GET,HEAD /repos/**``."""
        return " ".join((",".join(self.methods) or "*", *self.paths))


def objection(
    allow: tuple[CallRule, ...], deny: tuple[CallRule, ...], method: str, path: str
) -> str:
    """Return why a call may not be made, with what may; empty when it may."""
    for rule in deny:
        if rule.forbids(method, path):
            return f"{method} {path} is never called there: the deny list says {rule}"
    if not allow or any(rule.permits(method, path) for rule in allow):
        return ""
    more = f" and {len(allow) - _SHOWN} more" if len(allow) > _SHOWN else ""
    known = "; ".join(map(str, allow[:_SHOWN]))
    return f"{method} {path} is not on the list of calls made there, which is {known}{more}"


def read_rule(line: str, pointer: str) -> CallRule:
    """Return the rule of a line such as ``GET,HEAD /repos/**``; ``*`` stands for all methods.

    :raises InvalidField: when it is written in another way.
    """
    methods, *paths = line.split() or ["*"]
    rule = CallRule(() if methods == "*" else tuple(methods.upper().split(",")), tuple(paths))
    check_rules((rule,), pointer)
    return rule


def check_rules(rules: tuple[CallRule, ...], pointer: str) -> None:
    """Refuse rules that could not match as they are meant.

    :raises InvalidField: with a pointer to what must change.
    """
    if len(rules) > MAX_RULES:
        message = f"give at most {MAX_RULES} rules"
        raise InvalidField(message, pointer=pointer)
    for place, rule in enumerate(rules):
        if unknown := set(rule.methods) - CALLS:
            message = f"{min(unknown)!r} is no method that can be used, such as GET,HEAD"
            raise InvalidField(message, pointer=f"{pointer}/{place}/methods")
        if len(rule.paths) > MAX_RULES:
            message = f"give at most {MAX_RULES} paths"
            raise InvalidField(message, pointer=f"{pointer}/{place}/paths")
        for at, glob in enumerate(rule.paths):
            _check_glob(glob, f"{pointer}/{place}/paths/{at}")


def _check_glob(glob: str, pointer: str) -> None:
    if len(glob) > MAX_GLOB:
        message = f"a path pattern has at most {MAX_GLOB} characters"
        raise InvalidField(message, pointer=pointer)
    try:
        _exact(glob)
        _folded(glob)
    except ValueError as error:
        raise InvalidField(str(error), pointer=pointer) from error


@lru_cache(1024)
def _exact(glob: str) -> Match:
    return path_glob(glob)


@lru_cache(1024)
def _folded(glob: str) -> Match:
    return path_glob(plain_path(glob))


def plain_path(path: str) -> str:
    """Return the path as the most lenient of upstreams would read it."""
    for _ in range(_DECODINGS):
        decoded = unquote(path, errors="replace")
        if decoded == path:
            break
        path = decoded
    folded = unicodedata.normalize("NFKC", path).replace("\\", "/").casefold()
    found: list[str] = []
    for segment in folded.split("/"):
        name = segment.partition(";")[0].strip()
        if name == "..":
            del found[-1:]
        elif name not in ("", "."):
            found.append(name)
    return "/" + "/".join(found)
