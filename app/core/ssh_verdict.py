"""The verdict on a command: the strictest of what the policies, the guard and the profiles say.

None of them makes another one milder. What cannot be explained is never allowed by itself (T41).
"""

import shlex
from dataclasses import dataclass, replace
from typing import Final

from msgspec import structs

from app.core.action import Submission
from app.core.command_guard import Judgement
from app.core.command_parts import CommandLine
from app.core.command_profile import check_any
from app.core.command_rules import CommandRules, command_facts, judged, parsed
from app.core.facts import Facts
from app.core.policy import Effect
from app.core.ssh_action import SSH_EXEC, SSH_GET, SSH_PUT, SshAction, SshExec
from app.core.verdict import Verdict

_FILES: Final = {SSH_GET: "cat --", SSH_PUT: "cat >"}
_ORDER: Final = (Effect.ALLOW, Effect.REVIEW, Effect.DENY)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which profiles are named, and whether they alone permit commands.

    :ivar profiles: the target's.
    :ivar only: what none permits is denied.
    :ivar of_key: the key's; a command has to pass both.
    """

    profiles: tuple[str, ...] = ()
    only: bool = False
    of_key: tuple[str, ...] = ()


def guarded(verdict: Verdict, submission: Submission, rules: CommandRules) -> Verdict:
    """Return the verdict on a submission, once guard and profiles have looked at its command."""
    action, target = submission.action, submission.target
    if not isinstance(action, SshAction) or verdict.effect is Effect.DENY:
        return verdict
    place = None if target is None else target.ssh
    wanted = Wanted()
    if place is not None:
        wanted = Wanted(place.profiles, place.only_profiles, place.key_profiles)
    exec_ = isinstance(action, SshExec)
    command = _as_command(action.name, action.command if exec_ else action.path)
    fed = exec_ and action.stdin is not None
    return command_verdict(verdict, command, wanted, rules, fed=fed)


def _as_command(action: str, text: str) -> str:
    """Return the command by which an action is judged; a file by the one that would do the same."""
    return text if action == SSH_EXEC else f"{_FILES[action]} {shlex.quote(text)}"


def with_command(facts: Facts, rules: CommandRules) -> Facts:
    """Return facts that somebody wrote down, with what conditions on commands look at."""
    command = facts.params.get("command")
    if facts.action != SSH_EXEC or not isinstance(command, str):
        return facts
    return structs.replace(facts, command=command_facts(command, rules, fed=_is_fed(facts)))


def guarded_facts(
    verdict: Verdict, facts: Facts, rules: CommandRules, wanted: Wanted | None = None
) -> Verdict:
    """Return the verdict on facts alone, once guard and profiles have looked at their command.

    :param wanted: the profiles of the target and the key; none where they are not known.
    """
    text = facts.params.get("command" if facts.action == SSH_EXEC else "path")
    if verdict.effect is Effect.DENY or not isinstance(text, str):
        return verdict
    command = _as_command(facts.action, text)
    return command_verdict(verdict, command, wanted or Wanted(), rules, fed=_is_fed(facts))


def _is_fed(facts: Facts) -> bool:
    return facts.params.get("stdin") is not None


def command_verdict(
    verdict: Verdict, command: str, wanted: Wanted, rules: CommandRules, *, fed: bool = False
) -> Verdict:
    """Return the strictest of a verdict and of what guard and profiles say of a command.

    :param fed: it is given input, which a shell or an interpreter would run.
    """
    line = parsed(command, fed=fed)
    for judgement in (judged(command, rules.guard, fed=fed), *_by_profiles(line, wanted, rules)):
        if _ORDER.index(judgement.effect) > _ORDER.index(verdict.effect):
            reasons = (*judgement.reasons, *verdict.reasons)
            verdict = replace(verdict, effect=judgement.effect, reasons=reasons)
        elif judgement.effect is verdict.effect and verdict.effect is not Effect.ALLOW:
            more = tuple(text for text in judgement.reasons if text not in verdict.reasons)
            verdict = replace(verdict, reasons=(*verdict.reasons, *more))
        if fresh := judgement.tags - set(verdict.tags):
            verdict = replace(verdict, tags=(*verdict.tags, *sorted(fresh)))
    return verdict


def _by_profiles(line: CommandLine, wanted: Wanted, rules: CommandRules) -> list[Judgement]:
    """Return what the target's profiles say, and those of the key; without any, nothing."""
    found = list[Judgement]()
    if wanted.profiles or wanted.only:
        found.append(_by_one_of(line, wanted.profiles, rules, only=wanted.only))
    if wanted.of_key:
        found.append(_by_one_of(line, wanted.of_key, rules, only=wanted.only))
    return found


def _by_one_of(
    line: CommandLine, names: tuple[str, ...], rules: CommandRules, *, only: bool
) -> Judgement:
    known = [rules.profiles[name] for name in names if name in rules.profiles]
    missing = [name for name in names if name not in rules.profiles]
    found = check_any(known, line)
    if found.effect is Effect.ALLOW:
        return found
    effect = Effect.DENY if only else Effect.REVIEW
    gone = tuple(f"There is no profile {name!r}." for name in missing)
    return replace(found, effect=effect, reasons=(*found.reasons, *gone))
