r"""The one door to regular expressions written by users: RE2, linear in pattern and text.

Python's ``re`` backtracks (325 ms for ``(a+)+$`` on 23 characters), its ``$`` matches before a
final newline and its ``\d`` matches Arabic digits. RE2 does none of that (threat T37).

Meaning, for the documentation: the pattern is *searched* anywhere in the text; anchor it with
``^`` and ``$`` (begin and end of the whole text, unless ``(?m)`` is set). ``\d \w \s \b`` are
ASCII. Look-around, back references and ``\C`` are refused.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias, cast

import re2

MAX_PATTERN: Final = 512
"""Longest pattern, in characters."""

MAX_SUBJECT: Final = 65_536
"""Longest text that is searched, in UTF-8 bytes; a pattern with large repeat counts reads less."""

_MAX_PROGRAM: Final = 16_000
_WORK: Final = 70_000_000  # instructions times bytes: under 100 ms at the very worst
_MAX_MEMORY: Final = 8 << 20

Search: TypeAlias = Callable[[str], bool | None]
"""True or False; None when the text is too long or is not Unicode."""


Span: TypeAlias = tuple[int, int]


class _Regexp(Protocol):
    def Match(self, anchor: object, text: bytes, start: int, end: int) -> list[Span]: ...  # noqa: N802


class _Anchor(Protocol):
    UNANCHORED: object


class _Pattern(Protocol):
    """What is used of a compiled pattern."""

    _regexp: _Regexp

    @property
    def programsize(self) -> int: ...


class _Re2(Protocol):
    """What is used of the module."""

    error: type[Exception]
    _Anchor: _Anchor
    _NULL_SPAN: Span

    def compile(self, pattern: str, options: object) -> _Pattern: ...


_RE2: Final = cast("_Re2", re2)


def compile_search(pattern: str, longest: int = MAX_PATTERN) -> Search:
    """Return a function that searches a text for the pattern.

    :param longest: most characters of the pattern.
    :raises ValueError: with a message for the author, when the pattern is not accepted.
    """
    return _searcher(_compile(pattern, longest))


def size_of(pattern: str) -> int:
    """Return how large the pattern is when compiled, which bounds the work per byte of text.

    :raises ValueError: with a message for the author, when the pattern is not accepted.
    """
    return _compile(pattern).programsize


def compile_pattern(pattern: str) -> object:
    """Return the compiled RE2 pattern, for who bounds the work by other means.

    :raises ValueError: with a message for the author, when the pattern is not accepted.
    """
    return _compile(pattern)


def _searcher(compiled: _Pattern) -> Search:
    find = _finder(compiled)
    limit = min(MAX_SUBJECT, _WORK // max(1, compiled.programsize))

    def search(text: str) -> bool | None:
        try:
            data = text.encode()
        except UnicodeEncodeError:
            return None
        return None if len(data) > limit else find(data)

    return search


def _finder(compiled: _Pattern) -> Callable[[bytes], bool]:
    """Return the search without what the module wraps around it, which takes as long."""
    match = compiled._regexp.Match  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    anywhere, none = _RE2._Anchor.UNANCHORED, _RE2._NULL_SPAN  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    return lambda data: match(anywhere, data, 0, len(data))[0] != none


def _compile(pattern: str, longest: int = MAX_PATTERN) -> _Pattern:
    if len(pattern) > longest:
        message = f"the pattern is longer than {longest} characters"
        raise ValueError(message)
    _refuse_bytes(pattern)
    try:
        compiled = _RE2.compile(pattern, _options())
    except _RE2.error as error:
        message = f"not a valid RE2 pattern: {_reason(error)}"
        raise ValueError(message) from error
    except UnicodeEncodeError as error:
        message = "the pattern holds a lone surrogate"
        raise ValueError(message) from error
    if compiled.programsize > _MAX_PROGRAM:
        message = "the pattern is too complex; use smaller repeat counts"
        raise ValueError(message)
    return compiled


def _refuse_bytes(pattern: str) -> None:
    """Refuse the escape that matches one byte, which can split a character."""
    index = pattern.find("\\")
    while index >= 0:
        if pattern[index + 1 : index + 2] == "C":
            message = r"\C is not accepted; use . for any character"
            raise ValueError(message)
        index = pattern.find("\\", index + 2)


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _MAX_MEMORY
    return options


def _reason(error: Exception) -> str:
    detail: object = error.args[0] if error.args else ""
    return detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
