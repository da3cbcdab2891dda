r"""``glob``: ``*`` and ``?``, matched against the whole text, in linear time.

Everywhere but in HTTP paths ``*`` is any run of characters (none included) and ``?`` is exactly
one. In HTTP paths ``*`` and ``?`` stay within one segment, and a segment that is ``**`` stands
for any number of segments (none included): ``/repos/**`` matches ``/repos``, ``/repos/`` and
``/repos/a/b``. There are no other special characters; case counts.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from app.core.conditions.base import Condition, Kind, Spec, Tri, leaf
from app.core.conditions.reading import below, refuse, shown, texts
from app.core.regex import compile_search

MAX_GLOB: Final = 256
"""Longest glob pattern, in characters."""

_MAX_PATTERNS: Final = 100
_MAX_STARS: Final = 16
_HTTP_PATH: Final = ("http", "path")

Match: TypeAlias = Callable[[str], bool | None]


def _glob(spec: Spec) -> Condition:
    patterns = texts(spec.value, spec.pointer, _MAX_PATTERNS, MAX_GLOB)
    compiler = path_glob if spec.path == _HTTP_PATH else plain_glob
    match = any_of(patterns, compiler, spec.pointer)

    def test(value: object) -> Tri:
        return match(value) if isinstance(value, str) else None

    return leaf(spec, "glob", f"looks like {shown(', '.join(patterns))}", test)


def any_of(patterns: tuple[str, ...], compiler: Callable[[str], Match], pointer: str) -> Match:
    """Return the match of any of the patterns.

    :raises InvalidPolicy: when one of them is not accepted.
    """
    matches = list[Match]()
    for at, pattern in enumerate(patterns):
        try:
            matches.append(compiler(pattern))
        except ValueError as error:
            refuse(str(error), below(pointer, at))
    return matches[0] if len(matches) == 1 else _first(tuple(matches))


def _first(matches: tuple[Match, ...]) -> Match:
    def match(text: str) -> bool | None:
        results = [one(text) for one in matches]
        return True if True in results else None if None in results else False

    return match


def plain_glob(pattern: str) -> Match:
    """Return the match of a glob in which ``*`` is any run of characters.

    :raises ValueError: when the pattern has too many stars.
    """
    pieces = re.split(r"\*+", pattern)
    if len(pieces) > _MAX_STARS:
        message = f"a glob has at most {_MAX_STARS - 1} stars"
        raise ValueError(message)
    if "?" in pattern:
        return compile_search("(?s)^" + _translate(pattern, any_run=".*", any_one=".") + "$")
    if len(pieces) == 1:
        return lambda text: text == pattern
    return _pieces(pieces[0], tuple(pieces[1:-1]), pieces[-1])


def _pieces(first: str, middle: tuple[str, ...], last: str) -> Match:
    if not middle and not last:
        return lambda text: text.startswith(first)
    shortest = len(first) + len(last)

    def match(text: str) -> bool:
        if len(text) < shortest or not (text.startswith(first) and text.endswith(last)):
            return False
        at, end = len(first), len(text) - len(last)
        for piece in middle:
            found = text.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return match


def path_glob(pattern: str) -> Match:
    """Return the match of a glob on an HTTP path.

    :raises ValueError: when the pattern is not a path or has too many stars.
    """
    if not pattern.startswith("/"):
        message = "a path pattern begins with /"
        raise ValueError(message)
    segments = pattern[1:].split("/")
    if any("**" in segment and segment != "**" for segment in segments):
        message = "** stands alone between slashes, as in /repos/**/files"
        raise ValueError(message)
    if pattern.count("*") > _MAX_STARS:
        message = f"a path pattern has at most {_MAX_STARS} stars"
        raise ValueError(message)
    if not {"*", "?"} & set(pattern):
        return lambda text: text == pattern
    return _quick_path(pattern) or compile_search(_path_regex(segments))


def _quick_path(pattern: str) -> Match | None:
    """Return the match of ``/literal/**``, by far the most frequent path pattern."""
    base = pattern.removesuffix("/**")
    if base == pattern or {"*", "?"} & set(base):
        return None
    inside = base + "/"
    return lambda text: text == base or text.startswith(inside)


def _path_regex(segments: list[str]) -> str:
    parts = (
        "(?:/[^/]*)*" if segment == "**" else "/" + _translate(segment, "[^/]*", "[^/]")
        for segment in segments
    )
    return "(?s)^" + "".join(parts) + "$"


def _translate(pattern: str, any_run: str, any_one: str) -> str:
    parts = re.findall(r"\*+|\?|[^*?]+", pattern)
    return "".join(
        any_run if part[0] == "*" else any_one if part == "?" else re.escape(part) for part in parts
    )


KINDS: Final = (
    Kind(
        "glob",
        "operator",
        "A text that looks like this pattern, or like one of a list of patterns.",
        {"params.branch": {"glob": "release/*"}},
        _glob,
    ),
)
