"""The guard's rules, read from TOML: strict, with a pointer to what is wrong."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias

from app.core.command_match import Subs
from app.core.conditions.reading import array, below, boolean, integer, members, refuse, text, texts
from app.core.errors import InvalidPolicy
from app.core.json_types import JsonValue
from app.core.policy import Effect
from app.core.profile_grammar import Grammar
from app.core.profile_reading import Grammars, patterns_of
from app.core.regex import compile_search

_FIELDS: Final = frozenset({
    "name", "effect", "reason", "tag", "programs", "except", "sub", "not_sub", "values", "flags",
    "without", "operands", "fed", "unknown", "after", "word", "text", "unless", "paths", "samples",
    "path", "features", "assigns", "except_assigns", "writes", "except_writes", "loose", "matching",
    "others", "except_word", "with", "source", "reads", "folder", "filled", "holes",
})  # fmt: skip
_TOP: Final = frozenset({"ask_unknown", "rule", "group", "harmless", "patterns"})
MAX_RULE_PATTERN: Final = 4_096
"""Longest pattern of a rule, in characters."""

_LONGEST_UNION: Final = 100_000
_MOST: Final = 400
_LONG: Final = 500

Search: TypeAlias = Callable[[str], bool | None]


@dataclass(frozen=True, slots=True)
class GuardExample:
    """A command, and whether the rule is to match it."""

    command: str
    matches: bool


@dataclass(frozen=True, slots=True, eq=False)
class GuardRule:
    """One rule: all that it names must be there.

    ``programs`` may use ``*``; without them it looks at all programs but ``excluded``.

    :ivar except_assigns: variables that a program may be given; any other one matches.
    :ivar folder: of a ``cd`` before the program.
    :ivar filled: another program's output, or what is read, may stand in an argument.
    :ivar holes: an argument isn't written out.
    :ivar shaped: it asks for more than patterns do.
    """

    name: str
    effect: Effect
    reason: str
    tag: str
    programs: tuple[str, ...] = ()
    excluded: frozenset[str] = frozenset()
    sub: Subs = field(default_factory=dict[str, tuple[tuple[str, ...], ...]])
    not_sub: Subs = field(default_factory=dict[str, tuple[tuple[str, ...], ...]])
    values: set[str] = field(default_factory=set[str])
    flags: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    operands: int = 0
    fed: bool = False
    unknown: bool = False
    after: frozenset[str] = frozenset()
    company: frozenset[str] = frozenset()
    word: Search | None = None
    word_lines: Search | None = None
    except_word: Search | None = None
    text: Search | None = None
    unless: Search | None = None
    paths: Search | None = None
    paths_source: str = ""
    path: Search | None = None
    samples: tuple[str, ...] = ()
    features: frozenset[str] = frozenset()
    assigns: frozenset[str] = frozenset()
    writes: Search | None = None
    except_writes: Search | None = None
    loose: Search | None = None
    source: Search | None = None
    reads: Search | None = None
    except_assigns: frozenset[str] = frozenset()
    folder: Search | None = None
    filled: bool = False
    holes: bool = False
    shaped: bool = field(init=False, repr=False)
    examples: tuple[GuardExample, ...] = ()

    def __post_init__(self) -> None:
        """Note once what is asked of every command."""
        shape = (
            self.flags, self.sub, self.not_sub, self.without, self.fed, self.unknown, self.operands,
            self.folder, self.filled, self.holes, self.after, self.company,
        )  # fmt: skip
        object.__setattr__(self, "shaped", any(shape))

    @property
    def of_line(self) -> bool:
        """Whether it looks at the line, not at its programs one by one."""
        return bool(
            self.features
            or self.assigns
            or self.except_assigns
            or self.writes
            or self.loose
            or self.source
            or self.reads
        )


@dataclass(frozen=True, slots=True)
class Harmless:
    """The harmless uses of a program; whatever else it is given asks.

    :ivar uses: one of them must fit.
    :ivar rule: what is said of other uses.
    """

    uses: tuple[Grammar, ...]
    rule: GuardRule


@dataclass(frozen=True, slots=True, eq=False)
class GuardRules:
    """All rules, found by the program's name.

    :ivar rules: in the order of the file.
    :ivar lines: those that look at the line as a whole.
    :ivar paths: what any rule for all programs looks for in names of files.
    :ivar known: programs that a rule or a group names.
    :ivar asks: whether others ask a person.
    :ivar harmless: programs whose harmless uses are listed, by name.
    """

    rules: tuple[GuardRule, ...] = ()
    lines: tuple[GuardRule, ...] = ()
    paths: Search | None = None
    known: frozenset[str] = frozenset()
    asks: bool = False
    harmless: Mapping[str, Harmless] = field(default_factory=dict[str, Harmless])
    cache: dict[str, tuple[GuardRule, ...]] = field(
        default_factory=dict[str, tuple[GuardRule, ...]], repr=False, compare=False
    )

    def of(self, name: str) -> tuple[GuardRule, ...]:
        """Return the rules that look at a program."""
        found = self.cache.get(name)
        if found is None:
            found = tuple(rule for rule in self.rules if not rule.of_line and _looks_at(rule, name))
            if len(self.cache) < _MOST:
                self.cache[name] = found
        return found

    def with_more(self, more: "GuardRules") -> "GuardRules":
        """Return these rules and others behind them."""
        return guard_rules(
            (*self.rules, *more.rules),
            self.known | more.known,
            {**self.harmless, **more.harmless},
            asks=self.asks or more.asks,
        )

    def is_strange(self, name: str) -> bool:
        """Whether a program is one that nothing here says anything about."""
        return self.asks and bool(name) and name not in self.known and not self.of_name(name)

    def of_name(self, name: str) -> bool:
        """Whether a program is one of ours, or a rule names it by a pattern."""
        return name.startswith("(") or any(rule.programs for rule in self.of(name))


def guard_rules(
    rules: tuple[GuardRule, ...],
    known: frozenset[str] = frozenset(),
    harmless: Mapping[str, Harmless] = MappingProxyType({}),
    *,
    asks: bool = False,
) -> GuardRules:
    """Return rules, ready to be found."""
    sources = [rule.paths_source for rule in rules if not rule.programs and rule.paths_source]
    union = "|".join(f"(?:{source})" for source in sources)
    paths = compile_search(union, _LONGEST_UNION) if sources else None
    lines = tuple(rule for rule in rules if rule.of_line)
    return GuardRules(rules, lines, paths, known, asks, harmless)


def _named(rules: tuple[GuardRule, ...]) -> frozenset[str]:
    return frozenset(name for rule in rules for name in rule.programs)


def _looks_at(rule: GuardRule, name: str) -> bool:
    if not rule.programs:
        return name not in rule.excluded and not name.startswith("(")
    return any(
        name == one or (one.endswith("*") and name.startswith(one[:-1])) for one in rule.programs
    )


def read_guard(document: str) -> GuardRules:
    """Return the rules of a TOML document.

    :raises InvalidPolicy: with a pointer to what must change.
    """
    try:
        raw = tomllib.loads(document)
    except tomllib.TOMLDecodeError as error:
        refuse(f"this is no TOML: {error}", "")
    top = members(raw, "", _TOP)
    groups = _groups(top.get("group", {}))
    items = array(top.get("rule", []), "/rule", _MOST, empty=True)
    rules = tuple(_rule(item, below("/rule", at), groups) for at, item in enumerate(items))
    names = [rule.name for rule in rules]
    for at, name in enumerate(names):
        if name in names[:at]:
            refuse("another rule has this name", below("/rule", at, "name"))
    asks = top.get("ask_unknown", False)
    if not isinstance(asks, bool):
        refuse("must be true or false", "/ask_unknown")
    listed = frozenset(name for items in groups.values() for name in items)
    harmless = _harmless(top)
    return guard_rules(rules, listed | _named(rules) | frozenset(harmless), harmless, asks=asks)


def _harmless(top: Mapping[str, JsonValue]) -> Mapping[str, Harmless]:
    grammars = Grammars(patterns_of(top, ())).all(top, "harmless")
    return {name: Harmless(uses, _unusual(name)) for name, uses in grammars.items()}


def _unusual(name: str) -> GuardRule:
    reason = f"It uses {name} in a way that is not listed as harmless."
    return GuardRule(f"{name}: other uses", Effect.REVIEW, reason, "unlisted")


def _groups(value: JsonValue) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        refuse("must be a table of lists", "/group")
    return {
        name: texts(items, below("/group", name), _MOST, _LONG) for name, items in value.items()
    }


def _rule(value: JsonValue, pointer: str, groups: Mapping[str, tuple[str, ...]]) -> GuardRule:
    raw = members(value, pointer, _FIELDS)
    read = _Reader(raw, pointer, groups)
    effect = read.required("effect")
    if effect not in {"review", "deny"}:
        refuse("must be review or deny: the guard never allows", below(pointer, "effect"))
    rule = GuardRule(
        name=read.required("name"),
        effect=Effect(effect),
        reason=read.required("reason"),
        tag=read.optional("tag") or ("hostile" if effect == "deny" else "destructive"),
        programs=read.names("programs"),
        excluded=frozenset(read.names("except")),
        sub=read.sequences("sub"),
        not_sub=read.sequences("not_sub"),
        values=set(read.names("values")),
        flags=read.names("flags"),
        without=read.names("without"),
        operands=integer(raw.get("operands", 0), below(pointer, "operands"), 0, 100),
        fed=boolean(raw.get("fed", False), below(pointer, "fed")),
        unknown=boolean(raw.get("unknown", False), below(pointer, "unknown")),
        after=frozenset(read.names("after")),
        company=frozenset(read.names("with")),
        word=read.full("word"),
        word_lines=read.lines("word"),
        except_word=read.full("except_word"),
        text=read.pattern("text"),
        unless=read.full("unless"),
        paths=read.pattern("paths"),
        paths_source=str(raw.get("paths", "")),
        path=_kept(read.pattern("path")),
        samples=read.names("samples"),
        features=frozenset(read.names("features")),
        assigns=frozenset(read.names("assigns")),
        writes=read.pattern("writes"),
        except_writes=read.pattern("except_writes"),
        loose=read.pattern("loose"),
        source=read.pattern("source"),
        reads=read.pattern("reads"),
        except_assigns=frozenset(read.names("except_assigns")),
        folder=read.pattern("folder"),
        filled=boolean(raw.get("filled", False), below(pointer, "filled")),
        holes=boolean(raw.get("holes", False), below(pointer, "holes")),
        examples=(
            *(GuardExample(one, matches=True) for one in read.names("matching", marks=False)),
            *(GuardExample(one, matches=False) for one in read.names("others", marks=False)),
        ),
    )
    _check(rule, raw, pointer)
    return rule


def _kept(search: Search | None) -> Search | None:
    """Return a search that keeps its last answers: commands name few programs."""
    return None if search is None else lru_cache(_MOST)(search)


def _check(rule: GuardRule, raw: Mapping[str, JsonValue], pointer: str) -> None:
    """Refuse a rule that would look at nothing, or at everything."""
    asked = set(raw) - {"name", "effect", "reason", "tag", "matching", "others", "except", "values"}
    if not asked:
        refuse("says nothing of what it looks for; name programs, paths or words", pointer)
    if rule.programs and rule.excluded:
        refuse("give programs or except, not both", below(pointer, "except"))


@dataclass(frozen=True, slots=True)
class _Reader:
    raw: Mapping[str, JsonValue]
    pointer: str
    groups: Mapping[str, tuple[str, ...]]

    def required(self, name: str) -> str:
        return text(self.raw.get(name), below(self.pointer, name), _LONG)

    def optional(self, name: str) -> str:
        return self.required(name) if name in self.raw else ""

    def names(self, name: str, *, marks: bool = True) -> tuple[str, ...]:
        if name not in self.raw:
            return ()
        place = below(self.pointer, name)
        found = list[str]()
        for one in texts(self.raw[name], place, _MOST, _LONG):
            if marks and one.startswith("@"):
                if one[1:] not in self.groups:
                    refuse(f"there is no group {one[1:]!r}", place)
                found += self.groups[one[1:]]
            else:
                found.append(one)
        return tuple(found)

    def sequences(self, name: str) -> Subs:
        found: dict[str, tuple[tuple[str, ...], ...]] = {}
        for one in self.names(name):
            first, *rest = one.lower().split()
            found[first] = (*found.get(first, ()), tuple(rest))
        return found

    def pattern(self, name: str) -> Search | None:
        if name not in self.raw:
            return None
        given = text(self.raw[name], below(self.pointer, name), MAX_RULE_PATTERN)
        return _compiled(given, below(self.pointer, name))

    def lines(self, name: str) -> Search | None:
        """Return the search for a pattern in words that stand one a line."""
        if name not in self.raw:
            return None
        place = below(self.pointer, name)
        return _compiled(f"(?m)^(?:{text(self.raw[name], place, MAX_RULE_PATTERN)})$", place)

    def full(self, name: str) -> Search | None:
        if name not in self.raw:
            return None
        place = below(self.pointer, name)
        return _compiled(f"(?s)^(?:{text(self.raw[name], place, MAX_RULE_PATTERN)})$", place)


def _compiled(pattern: str, place: str) -> Search:
    try:
        return compile_search(pattern, MAX_RULE_PATTERN)
    except ValueError as error:
        raise InvalidPolicy(str(error), pointer=place) from error
