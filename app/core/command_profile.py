"""Profiles: what may run on a host, program by program (SSH-3).

A profile permits a plain pipeline whose first program it lists, with the options and operands
that it lists, and whose other programs are filters that read their input alone. Everything else
is refused: chaining, substitution, assignments, here-documents, redirections (but for the
harmless ones, where the profile says so). A profile that lists nothing permits nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from app.core.command_guard import ALLOWED, Judgement
from app.core.command_parts import CommandLine, Program
from app.core.policy import Effect
from app.core.profile_grammar import Grammar, Profile, ProfileExample, objection
from app.core.profile_reading import read_profile

__all__ = ("Profile", "ProfileExample", "check", "check_any", "read_profile")

_FOLDERS: Final = frozenset({"", "/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/", "/usr/local/bin/"})
_MOST_REASONS: Final = 8


def check(profile: Profile, line: CommandLine) -> Judgement:
    """Return whether a profile permits a command.

    ALLOW when it does so wholly, REVIEW for what can't be explained, DENY for all else.
    """
    if line.opaque:
        reasons = tuple(f"It can't be explained in full: {reason}." for reason in line.opaque)
        return Judgement(Effect.REVIEW, profile.name, reasons[:_MOST_REASONS])
    reason = _refusal(profile, line)
    if not reason:
        return ALLOWED
    return Judgement(Effect.DENY, profile.name, (f"Profile {profile.name}: {reason}.",))


def check_any(profiles: Iterable[Profile], line: CommandLine) -> Judgement:
    """Return whether one of several profiles permits a command wholly; none given permits none."""
    reasons, worst = list[str](), Effect.DENY
    for profile in profiles:
        judgement = check(profile, line)
        if judgement.effect is Effect.ALLOW:
            return Judgement(Effect.ALLOW, profile.name)
        if judgement.effect is Effect.REVIEW:
            worst = Effect.REVIEW
        reasons += (reason for reason in judgement.reasons if reason not in reasons)
    return Judgement(worst, "profiles", tuple(reasons[:_MOST_REASONS]) or ("No profile is set.",))


def _refusal(profile: Profile, line: CommandLine) -> str:
    if profile.base:
        return "it is there to be extended, and permits nothing by itself"
    if not line.pipeline:
        if not line.programs:
            return "there is no program in it"
        return f"it uses what profiles do not permit: {', '.join(sorted(line.features))}"
    if line.redirects and not (profile.redirects and all(one.harmless for one in line.redirects)):
        return "it redirects input or output"
    if not line.plain:
        return "shells may read it in different ways; write it with plain quotes"
    return _rules(profile, line)


def _rules(profile: Profile, line: CommandLine) -> str:
    if profile.deny or profile.allow:
        whole = " | ".join(_rendered(program) for program in line.pipeline)
        if any(pattern(whole) is not False for pattern in profile.deny):
            return "this command is refused as a whole"
        if any(pattern(whole) for pattern in profile.allow):
            return ""
    first, *others = line.pipeline
    if reason := _one(first, profile.programs, "not among the programs"):
        return reason
    return next(
        (reason for one in others if (reason := _one(one, profile.filters, "not a filter"))), ""
    )


def _rendered(program: Program) -> str:
    return " ".join((program.path, *program.texts))


def _one(program: Program, grammars: Mapping[str, tuple[Grammar, ...]], otherwise: str) -> str:
    cut = program.path.rfind("/") + 1
    folder, name = program.path[:cut], program.path[cut:]
    if folder not in _FOLDERS:
        return f"{program.path[:60]!r} is in a folder of its own"
    found = grammars.get(name)
    if not found:
        return f"{name[:60]!r} is {otherwise}"
    reasons = list[str]()
    for grammar in found:
        reason = objection(grammar, program)
        if not reason:
            return ""
        reasons.append(reason)
    return reasons[0]
