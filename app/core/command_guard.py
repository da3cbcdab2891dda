"""The guard: asks a person for what destroys, blocks what is hostile, lets the rest through.

Its rules are data (``app/library/ssh_guard.toml``). The guard is a tripwire beside the policies,
not a wall: what it lets through is still for policy to decide, and what can't be explained asks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from app.core.command_match import (
    Around,
    Seen,
    around,
    could_be,
    files_of,
    has_flag,
    open_words,
    options_of,
    short_path,
    sub_commands,
    unknown_option,
    values_of,
)
from app.core.command_parts import MORE, CommandLine, Program, Word
from app.core.command_values import spelled
from app.core.guard_rules import GuardRule, GuardRules, Search
from app.core.policy import Effect
from app.core.profile_grammar import objection

__all__ = ("ALLOWED", "GuardRule", "GuardRules", "Judgement", "judge")

_MOST_REASONS: Final = 8
_SHELL_OWN: Final = frozenset({"export", "declare", "typeset", "readonly", "local"})
_GOES: Final = frozenset({"cd", "pushd", "popd"})
_ANYWHERE: Final = "/tmp/?"  # noqa: S108 - what rules take for a folder that others may write to
_FARTHEST: Final = 512
_WORST: Final = {Effect.ALLOW: 0, Effect.REVIEW: 1, Effect.DENY: 2}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of a command.

    :ivar effect: ALLOW lets it through to what policy says, REVIEW asks a person, DENY blocks.
    :ivar rule: the name of the rule that decided; empty when none did.
    :ivar reasons: one sentence for each rule that matched, the worst first.
    :ivar tags: what kind of act it is, for policies: ``destructive``, ``hostile``.
    """

    effect: Effect
    rule: str = ""
    reasons: tuple[str, ...] = ()
    tags: frozenset[str] = field(default_factory=frozenset[str])


ALLOWED: Final = Judgement(Effect.ALLOW)
"""Nothing is said against it."""

OPAQUE: Final = "unexplained"
"""Name of the rule for what can't be explained."""

CROWDED: Final = GuardRule(
    "too many programs",
    Effect.DENY,
    "It runs more programs than anybody would read; send it as several commands.",
    "crowded",
)
"""What refuses a line of hundreds of programs: a person could not judge it, and was never meant to.
"""

STRANGE: Final = GuardRule(
    "unknown program", Effect.REVIEW, "It runs a program that the guard does not know.", "unknown"
)
"""What asks for programs that no rule and no group names: lists of what is bad never end."""


def judge(line: CommandLine, rules: GuardRules) -> Judgement:
    """Return what the guard says of a command; total, and never milder for a longer command."""
    if "crowd" in line.features:
        return Judgement(CROWDED.effect, CROWDED.name, (CROWDED.reason,), frozenset({CROWDED.tag}))
    found: dict[GuardRule, Effect] = {}
    whole = around(line)
    for at, (program, folder) in enumerate(zip(line.programs, _folders(line), strict=True)):
        for one in spelled(program) if program.bound else (program,):
            _enter(found, line, one, _Place(whole, at, folder), rules)
    if line.features or line.opaque or line.assignments:
        found.update(
            (rule, rule.effect) for rule in rules.lines if _line_matches(rule, line, whole)
        )
    if not found and not line.opaque:
        return ALLOWED
    return _judgement(line, found)


class _Place(NamedTuple):
    whole: Around
    at: int
    folder: str


def _enter(
    found: dict[GuardRule, Effect],
    line: CommandLine,
    program: Program,
    place: _Place,
    rules: GuardRules,
) -> None:
    """Enter the rules that match one program."""
    if candidates := rules.of(program.name):
        seen = _seen(place, program, rules)
        for rule in candidates:
            if found.get(rule) is not rule.effect and (sure := matches(rule, seen)):
                found[rule] = rule.effect if sure is Match.SURE else Effect.REVIEW
    if (unusual := _unusual(line, program, rules)) is not None:
        found[unusual] = unusual.effect


def _unusual(line: CommandLine, program: Program, rules: GuardRules) -> GuardRule | None:
    """Return the rule for a program that is not known, or is used as no list of ours knows it."""
    harmless = rules.harmless.get(program.name)
    if harmless is not None:
        odd = all(objection(use, program) for use in harmless.uses)
        return harmless.rule if odd else None
    return STRANGE if not line.opaque and rules.is_strange(program.name) else None


def _judgement(line: CommandLine, found: dict[GuardRule, Effect]) -> Judgement:
    ordered = sorted(found.items(), key=lambda item: -_WORST[item[1]])
    doubts = tuple(f"It can't be explained in full: {reason}." for reason in line.opaque)
    if not ordered:
        return Judgement(Effect.REVIEW, OPAQUE, doubts[:_MOST_REASONS], frozenset({"opaque"}))
    rule, effect = ordered[0]
    reasons = tuple(dict.fromkeys((*(one.reason for one, _ in ordered), *doubts)))
    tags = {one.tag for one, _ in ordered} | ({"opaque"} if doubts else set[str]())
    return Judgement(effect, rule.name, reasons[:_MOST_REASONS], frozenset(tags))


class Match(Enum):
    """How sure it is that a rule matches."""

    SURE = "sure"
    MAYBE = "maybe"


def _seen(place: _Place, program: Program, rules: GuardRules) -> Seen:
    paths = _paths(program, place.folder)
    opened = open_words(program)
    found = rules.paths is not None and bool(paths) and rules.paths(paths) is not False
    usual = not found and opened == []
    given = options_of(program.words)
    return Seen(
        place.whole, program, place.at, program.texts, given, opened, paths, place.folder, usual
    )


def _paths(program: Program, folder: str) -> str:
    words = files_of(program)
    if not words:
        return ""
    texts = [short_path(word.text) for word in words]
    if folder:
        inside = [
            short_path(f"{folder}/{word.text}")
            for word in words
            if not word.text.startswith(("/", "-"))
        ]
        texts += inside
    return "\n".join(texts)


def _folders(line: CommandLine) -> Iterator[str]:
    """Yield for each program the folder that a ``cd`` before it went to, in one pass."""
    folder = ""
    for program in line.programs:
        yield folder
        if program.name in _GOES:
            folder = _gone(program, folder)


def _gone(program: Program, folder: str) -> str:
    """Return the folder after a program that changes it; back is anywhere, and so is too far."""
    words = [word for word in program.words if word.text == "-" or word.text[:1] != "-"]
    went = words[0].text if words else ""
    if program.name == "popd" or went == "-" or "{" in went:
        return _ANYWHERE
    there = f"{folder}/{went}" if folder and went[:1] not in {"/", "~", ""} else went
    return short_path(there) if len(there) <= _FARTHEST else _ANYWHERE


def matches(rule: GuardRule, seen: Seen) -> Match | None:
    """Whether all that a rule asks for is there; MAYBE when a word could stand for it."""
    if rule.paths and not rule.programs and seen.usual:
        return None
    if (rule.shaped and not _shape_matches(rule, seen)) or not _texts_match(rule, seen):
        return None
    return _names_path(rule, seen) if rule.paths else Match.SURE


def _shape_matches(rule: GuardRule, seen: Seen) -> bool:
    program = seen.program
    if rule.flags and not any(has_flag(seen.given, flag) for flag in rule.flags):
        return False
    if rule.sub and not sub_commands(program, rule.sub, rule.values):
        return False
    if rule.not_sub and sub_commands(program, rule.not_sub, rule.values):
        return False
    if rule.without and any(has_flag(seen.given, flag) for flag in rule.without):
        return False
    if (rule.fed and not program.fed) or (rule.unknown and not unknown_option(program)):
        return False
    if rule.operands and not _enough(program, rule.operands):
        return False
    return _company_matches(rule, seen)


def _filled(rule: GuardRule, seen: Seen) -> bool:
    """Whether an argument isn't written out, or holds what another program wrote, or was read."""
    words = seen.program.words
    if rule.filled and any(word is MORE for word in words):
        return True
    if all(word.known or word is MORE for word in words):
        return False
    if not rule.filled:
        return True
    return seen.around.gets


def _company_matches(rule: GuardRule, seen: Seen) -> bool:
    first = seen.around.first
    if rule.folder is not None and not rule.folder(seen.folder):
        return False
    if (rule.filled or rule.holes) and not _filled(rule, seen):
        return False
    if rule.after and not any(first.get(name, seen.at) < seen.at for name in rule.after):
        return False
    return not rule.company or not rule.company.isdisjoint(first)


def _texts_match(rule: GuardRule, seen: Seen) -> bool:
    if rule.path and not rule.path(seen.program.path):
        return False
    if rule.word and not _some_word(rule, seen.texts):
        return False
    if rule.text is None and rule.unless is None:
        return True
    text = " ".join(seen.texts)
    return not (rule.text and not rule.text(text)) and not (rule.unless and rule.unless(text))


def _some_word(rule: GuardRule, texts: tuple[str, ...]) -> bool:
    wanted, unless = rule.word, rule.except_word
    together = "\n".join(texts)
    if rule.word_lines and together.count("\n") < len(texts) and not rule.word_lines(together):
        return False
    return any(wanted(text) and not (unless and unless(text)) for text in texts if wanted)


def _enough(program: Program, least: int) -> bool:
    return sum(not word.text.startswith("-") for word in program.words) >= least


def _names_path(rule: GuardRule, seen: Seen) -> Match | None:
    """Whether a word names one of the rule's files, or may do so."""
    if rule.paths and seen.paths and rule.paths(seen.paths):
        return Match.SURE
    if not rule.samples:
        return None
    words = seen.opened
    if words is None:
        return Match.MAYBE
    values = dict.fromkeys(one for word in words for one in values_of(word, seen.around.values))
    found = {_may_name(rule, value) for value in values}
    return Match.SURE if Match.SURE in found else Match.MAYBE if Match.MAYBE in found else None


def _may_name(rule: GuardRule, value: Word) -> Match | None:
    """Whether a word that is not plain, or a variable's value, names one of the rule's files."""
    if value.plain and rule.paths and rule.paths(short_path(value.text)):
        return Match.SURE
    if not could_be(value, rule.samples):
        return None
    return Match.SURE if value.known else Match.MAYBE


def _line_matches(rule: GuardRule, line: CommandLine, whole: Around) -> bool:
    if rule.features and not rule.features & line.features:
        return False
    if rule.assigns and not any(_named(name, rule.assigns) for name in whole.values):
        return False
    if rule.except_assigns and not _assigns_other(line, rule.except_assigns):
        return False
    if rule.company and rule.company.isdisjoint(whole.first):
        return False
    if rule.writes is not None and not _writes(rule, line):
        return False
    if rule.reads and not _reads(rule.reads, line):
        return False
    if rule.source and not (line.opaque and rule.source(line.text)):
        return False
    return not (rule.loose and not _loose(rule, line))


def _named(name: str, wanted: frozenset[str]) -> bool:
    """Whether a variable is one of those named; a last * stands for anything."""
    return name in wanted or any(one[-1] == "*" and name.startswith(one[:-1]) for one in wanted)


def _assigns_other(line: CommandLine, harmless: frozenset[str]) -> bool:
    """Whether a program is given a variable that is not one of those named."""
    run = (program for program in line.programs if program.name not in _SHELL_OWN)
    given = {one.name for program in run for one in program.assignments}
    return any(not _named(name, harmless) for name in given)


def _writes(rule: GuardRule, line: CommandLine) -> bool:
    """Whether a redirection writes to a file that the rule's pattern knows."""
    for one in line.redirects:
        if not one.writes or one.target is None or one.harmless:
            continue
        target = short_path(one.target.text)
        inverse = rule.except_writes
        if inverse is not None and one.target.plain and inverse(target):
            continue
        if rule.writes is not None and rule.writes(target):
            return True
    return False


def _reads(pattern: Search, line: CommandLine) -> bool:
    """Whether a redirection reads a file that the pattern knows."""
    return any(
        "<" in one.operator and one.target is not None and pattern(short_path(one.target.text))
        for one in line.redirects
    )


def _loose(rule: GuardRule, line: CommandLine) -> bool:
    """Whether a value that a variable gets matches."""
    words = dict.fromkeys((*line.loose, *(one.value for one in line.assignments)))
    return any(rule.loose is not None and rule.loose(short_path(word.text)) for word in words)
