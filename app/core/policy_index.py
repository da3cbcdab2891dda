"""The index that keeps evaluation flat: from the scope's globs, then from equalities.

First, values of action, agent and target are sorted into *classes*: the set of scope patterns
that they match. Two actions of one class see the same rules, so what is cached is bounded by the
policies, not by what agents send. Then, inside a long list of rules, the path that most rules
compare with a fixed text splits the list: a rule that wants another text can only be False.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, cast

from app.core.conditions.base import Condition
from app.core.conditions.glob import plain_glob
from app.core.facts import Facts, Path, Read, reader

CACHE_SIZE: Final = 4_096
"""Most entries in each cache; a full one is emptied."""

_SPLIT_ABOVE: Final = 8
_SPLIT_SHARE: Final = 4


class Indexed(Protocol):
    """What the index needs of an entry."""

    @property
    def match(self) -> Condition:
        """The condition tree."""
        ...


EntryT = TypeVar("EntryT", bound=Indexed)
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True, eq=False)
class PatternClass:
    """The patterns that a value matches; compared by identity, which is quick."""

    patterns: frozenset[str]


def remember(cache: dict[object, ValueT], key: object, value: ValueT) -> ValueT:
    """Put a value into a bounded cache and return it."""
    if len(cache) >= CACHE_SIZE:
        cache.clear()
    cache[key] = value
    return value


class Classifier:
    """Sorts values by the set of glob patterns that they match."""

    __slots__ = ("_classes", "_exact", "_globs", "_lengths", "_prefixes", "_seen")

    def __init__(self, patterns: Iterable[str]) -> None:
        """Sort the patterns into exact ones, prefixes and others."""
        self._exact = set[str]()
        self._prefixes = set[str]()
        self._globs = list[tuple[str, Callable[[str], bool | None]]]()
        for pattern in sorted(set(patterns)):
            self._add(pattern)
        self._lengths = sorted({len(prefix) for prefix in self._prefixes})
        self._classes = dict[frozenset[str], PatternClass]()
        self._seen = dict[object, PatternClass]()

    def _add(self, pattern: str) -> None:
        head = pattern[:-1]
        if "*" not in pattern and "?" not in pattern:
            self._exact.add(pattern)
        elif pattern[-1] == "*" and "*" not in head and "?" not in head:
            self._prefixes.add(head)
        else:
            self._globs.append((pattern, plain_glob(pattern)))

    def of(self, value: str | None) -> PatternClass:
        """Return the class of a value; of none at all, the class without patterns."""
        found = self._seen.get(value)
        return found if found is not None else self._sort(value)

    def _sort(self, value: str | None) -> PatternClass:
        patterns = frozenset[str]() if value is None else frozenset(self._matching(value))
        known = self._classes.get(patterns)
        if known is None:
            known = self._classes[patterns] = PatternClass(patterns)
        return remember(self._seen, value, known)

    def _matching(self, value: str) -> Iterable[str]:
        if value in self._exact:
            yield value
        for length in self._lengths:
            if value[:length] in self._prefixes and len(value) >= length:
                yield value[:length] + "*"
        for pattern, match in self._globs:
            if match(value):
                yield pattern


class Bucket(Generic[EntryT]):
    """Entries in rank order; a long list is split by a path that many compare with a text."""

    __slots__ = ("_cache", "_own", "_read", "_rest", "_used", "entries")

    def __init__(self, entries: Iterable[EntryT], used: frozenset[Path] = frozenset()) -> None:
        """Keep the entries; ``used`` are the paths that led here."""
        self.entries: tuple[EntryT, ...] = tuple(entries)
        self._used = used
        self._read: Read | None = None
        self._rest: Sequence[int] = ()
        self._own: Mapping[str, list[int]] = {}
        self._cache = dict[object, Bucket[EntryT]]()
        if len(self.entries) > _SPLIT_ABOVE:
            self._split()

    def select(self, facts: Facts) -> tuple[EntryT, ...]:
        """Return, in rank order, all entries but those that are certainly False."""
        if self._read is None:
            return self.entries
        try:
            value = self._read(facts)
        except Exception:  # noqa: BLE001 (then nothing is certain)
            return self.entries
        if type(value) is not str:
            return self.entries
        key = value if value in self._own else None
        found = self._cache.get(key)
        return (found if found is not None else self._narrow(key)).select(facts)

    def _split(self) -> None:
        wanted = [fixed_texts(entry.match) for entry in self.entries]
        counts = Counter(path for paths in wanted for path in paths if path not in self._used)
        path, count = min(counts.items(), key=_preference, default=((), 0))
        if count * _SPLIT_SHARE < len(self.entries):
            return
        own, rest = dict[str, list[int]](), list[int]()
        for at, paths in enumerate(wanted):
            if path not in paths:
                rest.append(at)
            for text in paths.get(path, ()):
                own.setdefault(text, []).append(at)
        self._read, self._own, self._rest = reader(path), own, rest
        self._used |= {path}

    def _narrow(self, text: str | None) -> "Bucket[EntryT]":
        own = () if text is None else self._own[text]
        entries = (self.entries[at] for at in sorted({*own, *self._rest}))
        return remember(self._cache, text, Bucket(entries, self._used))


def _preference(item: tuple[Path, int]) -> tuple[int, Path]:
    return -item[1], item[0]


def fixed_texts(match: Condition) -> dict[Path, Sequence[str]]:
    """Return the paths that must be one of certain texts for a tree not to be False."""
    found = dict[Path, Sequence[str]]()
    if match.kind in {"all", "http"}:
        for part in match.children:
            found = {**fixed_texts(part), **found}
    elif match.kind in {"eq", "in"} and match.path:
        options = match.operand if match.kind == "in" else [match.operand]
        if isinstance(options, list) and all(type(option) is str for option in options):
            found[match.path] = cast("list[str]", options)
    return found
