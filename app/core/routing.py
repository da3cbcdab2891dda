"""Who is asked, and what their votes need: seats, quorum, denials, assurance, the ladder.

A plan is frozen with its request at submission. Seats are filled by distinct people: an approval
counts when the voters together fill one seat more than before (a maximum flow), so one person never
fills two seats, one place never counts twice, whoever stands in for it, and the order of votes
makes no difference. Pure; who belongs to a group or stands in for somebody is read when a vote is
counted (threats T26, T30).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, TypeAlias

from app.core.canonical import canonical
from app.core.json_types import JsonObject, JsonValue
from app.core.principals import Person, Role, at_least

SEATS: Final = "seats"
"""As a recipient of a notice: everybody who may fill a seat, each on their own account."""


class Assurance(IntEnum):
    """How sure a channel makes us of who decides (DEC-4)."""

    NONE = 0
    LINK = 1
    CHAT = 2
    SESSION = 3


@dataclass(frozen=True, slots=True)
class Notice:
    """Where a request is shown.

    :ivar to: addresses in the channel's own form, or ``seats``.
    """

    channel: str
    to: tuple[str, ...] = (SEATS,)


@dataclass(frozen=True, slots=True)
class Rung:
    """A step of the ladder: after a time without a decision, more people are asked.

    :ivar after: seconds since the step before (or since submission).
    :ivar approvers: names that from now on may fill any seat; the quorum stays.
    :ivar repeat: how often this step is taken again, each after the same time.
    :ivar deny: the ladder ends here: nobody decided, so the answer is no.
    """

    after: int
    approvers: tuple[str, ...] = ()
    notify: tuple[Notice, ...] = ()
    repeat: int = 0
    deny: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request under review needs.

    :ivar seats: for each seat the names that may fill it; an empty one takes every approver.
    :ivar denials: votes against that end it; 1 is a veto for everybody.
    :ivar assurance: least level of a vote that counts.
    """

    seats: tuple[tuple[str, ...], ...] = ((),)
    denials: int = 1
    assurance: Assurance = Assurance.NONE
    notify: tuple[Notice, ...] = ()
    ladder: tuple[Rung, ...] = ()

    @property
    def steps(self) -> tuple[Rung, ...]:
        """The ladder with its repetitions written out."""
        return tuple(rung for rung in self.ladder for _ in range(rung.repeat + 1))

    def after(self, stage: int) -> int | None:
        """Return the seconds until the next step after ``stage`` were taken, or None."""
        steps = self.steps
        return steps[stage].after if stage < len(steps) else None

    def seats_at(self, stage: int) -> tuple[tuple[str, ...], ...]:
        """Return the seats with the names that the first ``stage`` steps added."""
        if stage == 0:
            return self.seats
        added = tuple(name for rung in self.steps[:stage] for name in rung.approvers)
        if not added:
            return self.seats
        return tuple((*(seat or (f"role:{Role.APPROVER}",)), *added) for seat in self.seats)

    def reminds_at(self, stage: int) -> bool:
        """Whether who was told before is told again: a step is repeated, or names nobody else."""
        if stage == 0:
            return False
        taken, rung = self.steps[:stage], self.steps[stage - 1]
        again = stage > 1 and taken[-2] is rung
        return again or not (rung.approvers or rung.notify)

    def notices_at(self, stage: int) -> tuple[Notice, ...]:
        """Return where the request is shown at a stage; 0 is submission."""
        return self.notify if stage == 0 else self.steps[stage - 1].notify


@dataclass(frozen=True, slots=True)
class Voter:
    """Somebody who may vote, as read in the transaction that counts.

    :ivar groups: names of the groups that the person is in.
    :ivar absent: people who are away and whose place this person takes; not handed on further.
    """

    person: Person
    groups: frozenset[str] = frozenset()
    absent: tuple["Voter", ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a vote counts.

    :ivar seat: the names that may fill the seat; empty where any approver may.
    :ivar stands_for: who is away, and whose place the voter takes; None is the own place.
    :ivar others: of the earlier voters, who is seated in the place of whom with this vote.
    """

    seat: tuple[str, ...] = ()
    stands_for: Person | None = None
    others: tuple[tuple[Person, Person], ...] = ()

    def details(self) -> JsonObject:
        """Return what an audit entry keeps of it."""
        who = self.stands_for
        kept: JsonObject = {"seat": list(self.seat)} if self.seat else {}
        if who is not None:
            kept |= {"for": who.id, "for_name": who.name}
        if self.others:
            others: list[JsonValue] = [
                {"by": one.id, "by_name": one.name, "for": away.id, "for_name": away.name}
                for one, away in self.others
            ]
            kept["others"] = others
        return kept


ANY_PLACE: Final = Place()
"""A vote in the voter's own place, on a seat that any approver may fill."""


def is_called(voter: Voter, names: Sequence[str]) -> bool:
    """Whether one of the names calls this person; no names call every approver."""
    person = voter.person
    if not _may_vote(voter):
        return False
    if not names:
        return True
    own = {f"person:{person.id}", f"person:{person.email}"}
    own |= {f"role:{role}" for role in Role if at_least(person.role, role)}
    own |= {f"group:{name}" for name in voter.groups}
    return not own.isdisjoint(names)


def may_fill(voter: Voter, seat: Sequence[str]) -> bool:
    """Whether a person may fill a seat: called by name, or in place of somebody who is away."""
    return _may_vote(voter) and any(is_called(one, seat) for one in (voter, *voter.absent))


def _may_vote(voter: Voter) -> bool:
    return voter.person.active and at_least(voter.person.role, Role.APPROVER)


def seats_of(seats: Sequence[Sequence[str]], voters: Sequence[Voter]) -> int:
    """Return how many seats :func:`placed` fills; for a voter alone there is nothing to weigh."""
    if len(voters) > 1:
        return len(placed(seats, voters))
    return int(any(may_fill(voter, seat) for voter in voters for seat in seats))


def placed(seats: Sequence[Sequence[str]], voters: Iterable[Voter]) -> dict[int, tuple[str, str]]:
    """Return who sits where: a largest assignment of people, by places of people, to seats.

    Each voter takes one seat, in one place: the own one or that of somebody who is away. No place
    counts twice, whoever takes it.

    :returns: the id of the voter, and of the person whose place it is, by number of the seat.
    """
    ways: _Ways = {}
    for voter in voters:
        _lay(ways, voter, seats)
        _send(ways, ("voter", voter.person.id))
    found = ((number, _holder(ways, number)) for number in range(len(seats)))
    return {number: holder for number, holder in found if holder}


_Node: TypeAlias = tuple[str, str | int]
_Ways: TypeAlias = dict[_Node, dict[_Node, None]]
"""Steps that are open, in order. Each may be gone once; then the way back is open instead."""

_SEATED: Final[_Node] = ("seated", "")


def _lay(ways: _Ways, voter: Voter, seats: Sequence[Sequence[str]]) -> None:
    """Lay the ways of a voter: to the places that they may take, and from these to the seats."""
    own: _Node = ("voter", voter.person.id)
    ways[own] = {}
    for one in (voter, *voter.absent) if _may_vote(voter) else ():
        into, out = ("place", one.person.id), ("placed", one.person.id)
        ways[own][into] = None
        if into in ways:
            continue
        ways[into], ways[out] = {out: None}, {}
        for number, seat in enumerate(seats):
            if is_called(one, seat):
                ways[out]["seat", number] = None
                ways.setdefault(("seat", number), {_SEATED: None})


def _send(ways: _Ways, node: _Node) -> None:
    """Send a voter to a seat, moving others where that helps (augmenting paths)."""
    path = _path(ways, node, set())
    for here, there in pairwise(path):
        del ways[here][there]
        ways.setdefault(there, {})[here] = None


def _path(ways: _Ways, node: _Node, seen: set[_Node]) -> list[_Node]:
    """Return a way from a node to a free seat, or nothing."""
    if node == _SEATED:
        return [node]
    seen.add(node)
    for there in ways[node]:
        if there not in seen and (rest := _path(ways, there, seen)):
            return [node, *rest]
    return []


def _holder(ways: _Ways, number: int) -> tuple[str, str] | None:
    """Return the voter on a seat and whose place it is, following the ways back, or None."""
    back = ways.get(("seat", number), {})
    for kind, name in back:
        if kind == "placed":
            who = next(str(who) for what, who in ways["place", name] if what == "voter")
            return who, str(name)
    return None


def shortage(plan: Plan, quorum: int, stage: int, able: Sequence[Voter]) -> str:
    """Return why these people can never reach the quorum, in a sentence, or an empty text."""
    seats = plan.seats_at(stage)
    found = seats_of(seats, able)
    if found >= quorum:
        return ""
    empty = [seat for seat in seats if not any(may_fill(voter, seat) for voter in able)]
    names = "; ".join(" or ".join(seat) or "any approver" for seat in empty)
    why = f": nobody may fill {names}" if names else ""
    people = "one person is" if quorum == 1 else f"{quorum} different people are"
    return f"{people} needed, and only {found} may decide{why}"


# --- the frozen form -----------------------------------------------------------------------------


def pool(names: tuple[str, ...], quorum: int) -> tuple[tuple[str, ...], ...]:
    """Return the seats of a rule that asks for a number of people out of one set."""
    return (names,) * quorum


def freeze(plan: Plan) -> str:
    """Return the canonical JSON text that is kept with a request; empty for a plain one-vote."""
    document: JsonObject = {}
    if plan.seats != ((),):
        document["seats"] = [list(seat) for seat in plan.seats]
    if plan.denials != 1:
        document["denials"] = plan.denials
    if plan.assurance:
        document["assurance"] = int(plan.assurance)
    if plan.notify:
        document["notify"] = _notices(plan.notify)
    if plan.ladder:
        document["ladder"] = [_rung(rung) for rung in plan.ladder]
    return canonical(document).decode() if document else ""


def _notices(notices: tuple[Notice, ...]) -> list[JsonValue]:
    return [{"channel": notice.channel, "to": list(notice.to)} for notice in notices]


def _rung(rung: Rung) -> JsonObject:
    return {"after": rung.after, "approvers": list(rung.approvers),
            "notify": _notices(rung.notify), "repeat": rung.repeat, "deny": rung.deny}  # fmt: skip


@lru_cache(maxsize=1024)
def thaw(text: str, quorum: int = 1) -> Plan:
    """Return the plan of a frozen text."""
    document: Any = json.loads(text) if text else {}
    if isinstance(document, list):  # how approvers were kept before there were seats
        return Plan(seats=pool(tuple(map(str, document)), quorum))
    if not document:
        return Plan(seats=pool((), quorum))
    return Plan(
        seats=tuple(tuple(seat) for seat in document.get("seats", [[]])),
        denials=document.get("denials", 1),
        assurance=Assurance(document.get("assurance", 0)),
        notify=_read_notices(document.get("notify", [])),
        ladder=tuple(_read_rung(rung) for rung in document.get("ladder", [])),
    )


def _read_notices(found: Iterable[Mapping[str, Any]]) -> tuple[Notice, ...]:
    return tuple(Notice(notice["channel"], tuple(notice["to"])) for notice in found)


def _read_rung(found: Mapping[str, Any]) -> Rung:
    return Rung(found["after"], tuple(found["approvers"]), _read_notices(found["notify"]),
                found["repeat"], found["deny"])  # fmt: skip
