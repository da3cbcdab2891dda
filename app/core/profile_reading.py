"""Profiles read from TOML: strict, with a pointer to what is wrong."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from app.core.conditions.reading import (
    array,
    below,
    boolean,
    integer,
    members,
    refuse,
    text,
    texts,
)
from app.core.errors import InvalidPolicy
from app.core.json_types import JsonValue
from app.core.profile_grammar import Full, Grammar, Profile, ProfileExample
from app.core.regex import compile_search

_TOP: Final = frozenset({
    "name", "title", "description", "extends", "base", "reading", "redirects", "patterns",
    "program", "filter", "command", "expect",
})  # fmt: skip
_PROGRAM: Final = frozenset({
    "names", "subs", "flags", "values", "optional", "denied", "needs", "operands", "rest", "min",
    "max", "numbers",
})  # fmt: skip
_COMMAND: Final = frozenset({"allow", "deny"})
_EXPECT: Final = frozenset({"allowed", "refused"})
MAX_PATTERN: Final = 4_096
"""Longest pattern as it is written, in characters."""

_EXPANDED: Final = 16_384
T = TypeVar("T")

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_PROGRAM_NAME: Final = re.compile(r"[A-Za-z0-9_.+\[-]{1,64}")
_FLAG: Final = re.compile(r"-[A-Za-z0-9]|--?[A-Za-z0-9][A-Za-z0-9_.-]*(?:=[A-Za-z0-9.-]+)?")
_REFERENCE: Final = re.compile(r"(?<!P)<([a-z][a-z_]*)>")
_MOST: Final = 2_000
_SHORT: Final = 128
_LONG: Final = 2_000
_WORDS: Final = 64


def read_profile(document: str, bases: Mapping[str, Profile] | None = None) -> Profile:
    """Return the profile in a TOML document.

    :param bases: the profiles that it may extend, by name.
    :raises InvalidPolicy: with a pointer to what must change.
    """
    try:
        raw = members(tomllib.loads(document), "", _TOP)
    except tomllib.TOMLDecodeError as error:
        refuse(f"this is no TOML: {error}", "")
    name = text(raw.get("name"), "/name", 63)
    if not _NAME.fullmatch(name):
        refuse("a profile's name is a lower-case letter, then a-z, 0-9 and -", "/name")
    return _profile(raw, name, bases or {})


def extended(document: str) -> tuple[str, ...]:
    """Return the names that a document extends, for who has to find them first.

    :raises InvalidPolicy: it is no TOML, or says it in another way.
    """
    try:
        raw = tomllib.loads(document)
    except tomllib.TOMLDecodeError as error:
        refuse(f"this is no TOML: {error}", "")
    return texts(raw["extends"], "/extends", _WORDS, _SHORT) if "extends" in raw else ()


def _profile(raw: Mapping[str, JsonValue], name: str, bases: Mapping[str, Profile]) -> Profile:
    parents = _parents(raw, bases)
    base = boolean(raw.get("base", False), "/base")
    patterns = patterns_of(raw, parents)
    read = Grammars(patterns)
    programs, filters = read.all(raw, "program"), read.all(raw, "filter")
    allow, deny = read.whole(raw)
    inherited = any(parent.programs for parent in parents)
    if not (base or programs or allow or inherited):
        refuse("a profile without a program permits nothing; add one", "/program")
    return Profile(
        name,
        text(raw.get("title"), "/title", _SHORT),
        text(raw.get("description"), "/description", _LONG),
        base,
        boolean(raw.get("reading", True), "/reading"),
        _merged(programs, *(parent.programs for parent in parents)),
        _merged(filters, *(parent.filters for parent in parents)),
        boolean(raw.get("redirects", any(one.redirects for one in parents)), "/redirects"),
        _once(allow, *(parent.allow for parent in parents)),
        _once(deny, *(parent.deny for parent in parents)),
        patterns,
        _expected(raw),
    )


def _parents(raw: Mapping[str, JsonValue], bases: Mapping[str, Profile]) -> list[Profile]:
    if "extends" not in raw:
        return []
    found = list[Profile]()
    for at, name in enumerate(texts(raw["extends"], "/extends", _WORDS, _SHORT)):
        if name not in bases:
            refuse(f"there is no profile {name!r} to extend", below("/extends", at))
        found.append(bases[name])
    return found


def patterns_of(raw: Mapping[str, JsonValue], parents: Sequence[Profile]) -> Mapping[str, str]:
    """Return the patterns that a document may speak of by name: inherited ones, and its own."""
    found = {name: one for parent in parents for name, one in parent.patterns.items()}
    own = raw.get("patterns", {})
    if not isinstance(own, Mapping):
        refuse("must be a table of patterns", "/patterns")
    for name, value in own.items():
        place = below("/patterns", name)
        found[name] = _expanded(text(value, place, MAX_PATTERN), found, place)
        _compiled(found[name], place)
    return found


def _expanded(pattern: str, known: Mapping[str, str], place: str) -> str:
    def one(reference: re.Match[str]) -> str:
        if reference[1] not in known:
            refuse(f"there is no pattern <{reference[1]}>", place)
        return f"(?:{known[reference[1]]})"

    return _REFERENCE.sub(one, pattern)


def _compiled(pattern: str, place: str) -> Full:
    try:
        return compile_search(f"^(?:{pattern})$", _EXPANDED)
    except ValueError as error:
        raise InvalidPolicy(str(error), pointer=place) from error


def _merged(*tables: Mapping[str, tuple[Grammar, ...]]) -> Mapping[str, tuple[Grammar, ...]]:
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: _once(*(table.get(name, ()) for table in tables)) for name in names}


def _once(*parts: tuple[T, ...]) -> tuple[T, ...]:
    """Return all of them, each once: several parents may extend the same profile."""
    return tuple({id(one): one for part in parts for one in part}.values())


def _expected(raw: Mapping[str, JsonValue]) -> tuple[ProfileExample, ...]:
    table = members(raw.get("expect", {}), "/expect", _EXPECT)
    return tuple(
        ProfileExample(command, allowed=name == "allowed")
        for name in table
        for command in texts(table[name], below("/expect", name), _MOST, 4_096)
    )


@dataclass(frozen=True, slots=True)
class Grammars:
    """Reads the grammars of programs.

    :ivar patterns: by name, for those that write ``<name>``.
    """

    patterns: Mapping[str, str]

    def whole(self, raw: Mapping[str, JsonValue]) -> tuple[tuple[Full, ...], tuple[Full, ...]]:
        """Return the whole commands that are permitted, and those that are refused."""
        table = members(raw.get("command", {}), "/command", _COMMAND)
        found = list[tuple[Full, ...]]()
        for name in ("allow", "deny"):
            place = below("/command", name)
            items = texts(table[name], place, _MOST, MAX_PATTERN) if name in table else ()
            found.append(tuple(self._full(one, below(place, at)) for at, one in enumerate(items)))
        return found[0], found[1]

    def all(self, raw: Mapping[str, JsonValue], what: str) -> Mapping[str, tuple[Grammar, ...]]:
        """Return the grammars of one sort of table by name.

        Only what is harmless to the guard may wrap a program: profiles do not look inside.
        """
        found: dict[str, tuple[Grammar, ...]] = {}
        if what not in raw:
            return found
        keys = _PROGRAM | {"wraps", "more"} if what == "harmless" else _PROGRAM
        for at, item in enumerate(array(raw[what], f"/{what}", _MOST)):
            place = below(f"/{what}", at)
            one = members(item, place, keys)
            for name in texts(one.get("names"), below(place, "names"), _WORDS, _SHORT):
                if not _PROGRAM_NAME.fullmatch(name):
                    refuse(f"{name!r} is no name of a program", below(place, "names"))
                found[name] = (*found.get(name, ()), self._grammar(name, one, place))
        return found

    def _grammar(self, name: str, raw: Mapping[str, JsonValue], place: str) -> Grammar:
        least = integer(raw.get("min", 0), below(place, "min"), 0, _WORDS)
        most = integer(raw.get("max", _WORDS), below(place, "max"), 0, _WORDS)
        if least > most:
            refuse("min is more than max", below(place, "min"))
        positions = self._positions(raw, place)
        rest = None
        if "rest" in raw:
            rest = self._full(text(raw["rest"], below(place, "rest"), MAX_PATTERN), place)
        made = Grammar(
            name,
            tuple(tuple(sub.split()) for sub in _list(raw, "subs", place)),
            self._flags(raw, "flags", place),
            self._table(raw, "values", place),
            self._table(raw, "optional", place),
            self._flags(raw, "denied", place),
            self._flags(raw, "needs", place),
            positions,
            rest,
            least,
            most,
            boolean(raw.get("numbers", False), below(place, "numbers")),
            integer(raw.get("wraps", 0), below(place, "wraps"), 0, _WORDS),
            boolean(raw.get("more", False), below(place, "more")),
        )
        if least > len(positions) and rest is None:
            refuse("min asks for more operands than are described", below(place, "min"))
        return made

    def _positions(self, raw: Mapping[str, JsonValue], place: str) -> tuple[Full, ...]:
        given = _list(raw, "operands", place)
        where = below(place, "operands")
        return tuple(self._full(one, below(where, at)) for at, one in enumerate(given))

    def _flags(self, raw: Mapping[str, JsonValue], key: str, place: str) -> frozenset[str]:
        found = set[str]()
        for at, one in enumerate(_list(raw, key, place)):
            for flag in _letters(one):
                if not _FLAG.fullmatch(flag):
                    refuse(f"{flag!r} is no option", below(place, key, at))
                found.add(flag)
        return frozenset(found)

    def _table(self, raw: Mapping[str, JsonValue], key: str, place: str) -> dict[str, Full]:
        table = raw.get(key, {})
        if not isinstance(table, Mapping):
            refuse("must be a table: option = pattern", below(place, key))
        found: dict[str, Full] = {}
        for names, pattern in table.items():
            where = below(place, key, names)
            full = self._full(text(pattern, where, MAX_PATTERN), where)
            for name in names.split():
                if not _FLAG.fullmatch(name):
                    refuse(f"{name!r} is no option", where)
                found[name] = full
        return found

    def _full(self, pattern: str, place: str) -> Full:
        return _compiled(_expanded(pattern, self.patterns, place), place)


def _letters(text: str) -> list[str]:
    """Return the options of ``"-a -b --all"``, or of ``"-abc"`` written as ``"-[abc]"``."""
    found = list[str]()
    for one in text.split():
        if one.startswith("-[") and one.endswith("]"):
            found += (f"-{letter}" for letter in one[2:-1])
        else:
            found.append(one)
    return found


def _list(raw: Mapping[str, JsonValue], key: str, place: str) -> tuple[str, ...]:
    return texts(raw[key], below(place, key), _MOST, MAX_PATTERN) if key in raw else ()
