"""The rules in force for commands, and what they say of one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from app.core.command_facts import CommandFacts
from app.core.command_guard import GuardRules, Judgement, judge
from app.core.command_line import parse_command
from app.core.command_parts import CommandLine
from app.core.command_profile import Profile, check
from app.core.policy import Effect

_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class CommandRules:
    """One whole set.

    :ivar profiles: by name.
    :ivar guard: the rules of the guard.
    """

    profiles: Mapping[str, Profile]
    guard: GuardRules


@lru_cache(maxsize=_KEPT)
def parsed(text: str, *, fed: bool = False) -> CommandLine:
    """Return a command taken apart; the last ones are kept, since one is asked about often."""
    return parse_command(text, fed=fed)


@lru_cache(maxsize=_KEPT)
def judged(text: str, guard: GuardRules, *, fed: bool = False) -> Judgement:
    """Return what the guard says of a command; the last answers of a set of rules are kept."""
    return judge(parsed(text, fed=fed), guard)


def command_facts(text: str, rules: CommandRules, *, fed: bool = False) -> CommandFacts:
    """Return what conditions may ask of a command.

    :param fed: it is given input.
    """
    line, judgement = parsed(text, fed=fed), judged(text, rules.guard, fed=fed)
    return CommandFacts(line, judgement.effect.value, judgement.tags, _permits(line, rules))


def _permits(line: CommandLine, rules: CommandRules) -> Callable[[str], bool | None]:
    def permits(name: str) -> bool | None:
        profile = rules.profiles.get(name)
        if profile is None:
            return None
        effect = check(profile, line).effect
        return None if effect is Effect.REVIEW else effect is Effect.ALLOW

    return permits
