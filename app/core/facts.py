"""What a policy may look at, and how a path in a policy finds it.

A path names a root and, below it, own members only: ``params.action`` never is ``action``
(threat T34). A path that finds nothing gives :data:`MISSING`; one that finds something which
reads in two ways (``/a/../b``), or leads into a body that could not be read, gives
:data:`UNCLEAR`. Both make a condition indeterminate; ``exists`` is so for the second alone.
"""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, TypeAlias, cast

from msgspec import Struct, field

from app.core.command_facts import CommandFacts
from app.core.instant import Instant


class Facts(Struct, frozen=True):
    """Everything that is known when a policy decides.

    ``http`` holds ``method``, ``path``, ``query`` (name to value, or to a list of values),
    ``headers`` (lower-case name to value) and, when there was a body, ``json``: what it says, or
    :data:`UNCLEAR` where it could not be read as JSON (by us; the upstream may). A query is unclear
    when it holds a semicolon, at which some servers split it.
    ``command`` is there for a command over SSH where its rules are known.
    """

    action: str
    kind: str
    agent_id: str
    agent_name: str
    target: str | None
    urgency: str
    reason: str
    params: Mapping[str, object]
    context: Mapping[str, object]
    http: Mapping[str, object] | None
    now: Instant
    remote_ip: str | None = None
    counters: Mapping[str, int] = field(default_factory=dict[str, int])
    command: CommandFacts | None = None


class Absent(Enum):
    """Why a path gives no value."""

    MISSING = "missing"
    UNCLEAR = "unclear"


MISSING: Final = Absent.MISSING
"""The path finds nothing."""

UNCLEAR: Final = Absent.UNCLEAR
"""The path finds a value that different readers would understand differently, or leads into one
that could not be read."""

Read: TypeAlias = Callable[[Facts], object]
Path: TypeAlias = tuple[str, ...]

MAX_PATH: Final = 256
"""Longest path, in characters."""

_MAX_INDEX_DIGITS: Final = 6

_SCALARS: Final[Mapping[Path, Read]] = {
    ("action",): lambda facts: facts.action,
    ("kind",): lambda facts: facts.kind,
    ("agent", "name"): lambda facts: facts.agent_name,
    ("agent", "id"): lambda facts: facts.agent_id,
    ("target",): lambda facts: MISSING if facts.target is None else facts.target,
    ("urgency",): lambda facts: facts.urgency,
    ("reason",): lambda facts: facts.reason,
    ("remote_ip",): lambda facts: MISSING if facts.remote_ip is None else facts.remote_ip,
}

_TREES: Final[Mapping[Path, Read]] = {
    ("params",): lambda facts: facts.params,
    ("context",): lambda facts: facts.context,
    ("counters",): lambda facts: facts.counters,
    ("http", "query"): lambda facts: _http(facts, "query"),
    ("http", "headers"): lambda facts: _http(facts, "headers"),
    ("http", "json"): lambda facts: _http(facts, "json"),
}

ROOTS: Final = (
    *(".".join(path) for path in _SCALARS),
    "http.method",
    "http.path",
    *(".".join((*path, "*")) for path in _TREES),
)
"""The paths a policy may use, for messages and documentation."""


def parse_path(text: str) -> Path:
    r"""Return the segments of a dotted path; ``\.`` is a dot in a key, ``\\`` a backslash.

    :raises ValueError: with a message for the author, when the path is not a known one.
    """
    if len(text) > MAX_PATH:
        message = f"the path is longer than {MAX_PATH} characters"
        raise ValueError(message)
    path = _split(text)
    if path[:2] == ("http", "headers"):
        path = (*path[:2], *(name.lower() for name in path[2:]))
    if not _known(path) or "" in path:
        message = f"{text!r} is not a known path; use one of {', '.join(ROOTS)}"
        raise ValueError(message)
    return path


def _known(path: Path) -> bool:
    if path in _SCALARS or path in {("http", "method"), ("http", "path")}:
        return True
    return path[:1] in _TREES or path[:2] in _TREES


def _split(text: str) -> Path:
    segments, current, escaped = list[str](), "", False
    for character in text:
        if escaped:
            if character not in ".\\":
                message = r"in a path a backslash stands only before a dot or a backslash"
                raise ValueError(message)
            current, escaped = current + character, False
        elif character == "\\":
            escaped = True
        elif character == ".":
            segments.append(current)
            current = ""
        else:
            current += character
    if escaped:
        message = "the path ends in a backslash"
        raise ValueError(message)
    return (*segments, current)


def reader(path: Path) -> Read:
    """Return the function that finds a path's value in facts, or MISSING or UNCLEAR."""
    if path in _SCALARS:
        return _SCALARS[path]
    if path == ("http", "method"):
        return _method
    if path == ("http", "path"):
        return _path
    cut = 1 if path[:1] in _TREES else 2
    root, below = _TREES[path[:cut]], path[cut:]
    if not below:
        return root
    return _member(root, below[0]) if len(below) == 1 else _descend(root, below)


def _member(root: Read, name: str) -> Read:
    def read(facts: Facts) -> object:
        return step(root(facts), name)

    return read


def _descend(root: Read, names: Path) -> Read:
    def read(facts: Facts) -> object:
        value = root(facts)
        for name in names:
            value = step(value, name)
        return value

    return read


def step(value: object, name: str) -> object:
    """Return the own member of an object, or the item of a list; MISSING without one.

    What is below something unclear is unclear.
    """
    if isinstance(value, dict):
        return cast("dict[str, object]", value).get(name, MISSING)
    if isinstance(value, list | tuple):
        items = cast("list[object]", value)
        index = _index(name)
        return items[index] if 0 <= index < len(items) else MISSING
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, object]", value)
        return mapping[name] if name in mapping else MISSING  # noqa: SIM401 (own keys only)
    return UNCLEAR if value is UNCLEAR else MISSING


def _index(name: str) -> int:
    plain = name.isascii() and name.isdigit() and len(name) <= _MAX_INDEX_DIGITS
    return int(name) if plain and (name == "0" or name[0] != "0") else -1


def _http(facts: Facts, name: str) -> object:
    return MISSING if facts.http is None else facts.http.get(name, MISSING)


def _method(facts: Facts) -> object:
    value = _http(facts, "method")
    return UNCLEAR if isinstance(value, str) and not value.isupper() else value


def _path(facts: Facts) -> object:
    value = _http(facts, "path")
    return UNCLEAR if isinstance(value, str) and _ambiguous(value) else value


_HINTS: Final = ("//", "/.", "%", "\\", ";", "\x00", "?", "#")
_ENCODED: Final = ("%2e", "%2f", "%5c", "%25", "%00", "%3b")
_OUTRIGHT: Final = ("//", "\\", ";", "\x00", "?", "#")
_NEEDLESS: Final = re.compile(
    r"%(?:2[1-9A-Fa-f]|3[0-9AaDd]|4[0-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])"
)
"""Escapes of characters that may stand plain: servers take both for the same."""

_LOWER: Final = re.compile(r"%(?:[0-9A-F]?[a-f]|[a-f][0-9A-F])")
"""Escapes that are also written with other digits."""


def _ambiguous(path: str) -> bool:
    """Whether servers may read this path as another one than it looks like."""
    if not path.startswith("/"):
        return True
    if not any(hint in path for hint in _HINTS):
        return False
    low = path.lower()
    return (
        any(mark in low for mark in (*_OUTRIGHT, *_ENCODED))
        or _NEEDLESS.search(path) is not None
        or _LOWER.search(path) is not None
        or "." in path.split("/")
        or ".." in path.split("/")
    )
