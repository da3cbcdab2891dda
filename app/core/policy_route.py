"""The route of a rule: whom a review asks, and what their votes need, read from its JSON."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from app.core.conditions.reading import array, below, boolean, integer, members, refuse, text
from app.core.json_types import JsonObject, JsonValue
from app.core.routing import SEATS, Assurance, Notice, Plan, Rung, freeze, pool

MAX_QUORUM: Final = 20
MAX_SEATS: Final = 20
MAX_DENIALS: Final = 20
MAX_RUNGS: Final = 10
MAX_REPEAT: Final = 20
_MAX_NAMES: Final = 32
_MAX_NOTICES: Final = 16
_MAX_ADDRESS: Final = 200
_YEAR: Final = 366 * 86_400

_ROUTE: Final = frozenset(
    {
        "approvers", "denials", "escalation", "expires_in", "notify", "owner_may_decide", "quorum",
        "seats", "valid_for",
    }
)  # fmt: skip
_RUNG: Final = frozenset({"after", "approvers", "deny", "notify", "repeat"})
_NAME: Final = re.compile(
    r"role:(approver|operator|admin)|person:[^\s:]{1,200}|group:[a-z0-9][a-z0-9._-]{0,63}"
)
_CHANNEL: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_LEVELS: Final = {"L1": Assurance.LINK, "L2": Assurance.CHAT, "L3": Assurance.SESSION}


_ANYBODY: Final = Plan()


@dataclass(frozen=True)
class Route:
    """What a review asks for; None means the installation's setting.

    :ivar quorum: seats that must be filled.
    """

    quorum: int = 1
    expires_in: int | None = None
    valid_for: int | None = None
    owner_may_decide: bool | None = None
    plan: Plan = _ANYBODY

    @cached_property
    def frozen(self) -> str:
        """The plan as it is kept with a request."""
        return freeze(self.plan)


DEFAULT_ROUTE: Final = Route()
"""One vote of any approver; everything else is the installation's setting."""


def assurance(value: JsonValue, pointer: str) -> Assurance:
    """Return the level that a policy names.

    :raises InvalidPolicy: it is not L1, L2 or L3.
    """
    if not isinstance(value, str) or value not in _LEVELS:
        refuse("level must be L1 (a link), L2 (chat or a key) or L3 (a fresh sign-in)", pointer)
    return _LEVELS[value]


def parse_route(value: JsonValue, pointer: str, level: Assurance = Assurance.NONE) -> Route:
    """Return the route of a rule.

    :param level: the assurance that the rule's obligations ask for.
    :raises InvalidPolicy: with a message that says what to change, also when no set of people
        could ever satisfy it.
    """
    fields = members(value, pointer, _ROUTE)
    seats, quorum = _seats(fields, pointer)
    owner: bool | None = None
    if "owner_may_decide" in fields:
        owner = boolean(fields["owner_may_decide"], below(pointer, "owner_may_decide"))
    plan = Plan(
        seats=seats,
        denials=integer(fields.get("denials", 1), below(pointer, "denials"), 1, MAX_DENIALS),
        assurance=level,
        notify=_notices(fields.get("notify", []), below(pointer, "notify")),
        ladder=_ladder(fields.get("escalation", []), below(pointer, "escalation")),
    )
    _check_people(plan, quorum, pointer)
    return Route(
        quorum=quorum,
        expires_in=_seconds(fields, "expires_in", pointer),
        valid_for=_seconds(fields, "valid_for", pointer),
        owner_may_decide=owner,
        plan=plan,
    )


def _seconds(fields: JsonObject, name: str, pointer: str) -> int | None:
    return integer(fields[name], below(pointer, name), 1, _YEAR) if name in fields else None


def _seats(fields: JsonObject, pointer: str) -> tuple[tuple[tuple[str, ...], ...], int]:
    if "seats" not in fields:
        names = _names(fields.get("approvers", []), below(pointer, "approvers"))
        quorum = _quorum(fields.get("quorum", 1), _people(names), MAX_QUORUM, pointer)
        return pool(names, quorum), quorum
    if "approvers" in fields:
        refuse("give seats or approvers, not both", below(pointer, "approvers"))
    items = array(fields["seats"], below(pointer, "seats"), MAX_SEATS)
    seats = tuple(_names(item, below(pointer, "seats", at)) for at, item in enumerate(items))
    quorum = _quorum(fields.get("quorum", "all"), len(seats), len(seats), pointer)
    return seats, quorum


def _people(names: Sequence[str]) -> int | None:
    """Return how many people the names are, where they are people alone."""
    if not names or not all(name.startswith("person:") for name in names):
        return None
    return len(set(names))


def _quorum(value: JsonValue, everybody: int | None, most: int, pointer: str) -> int:
    where = below(pointer, "quorum")
    if value == "any":
        return 1
    if value == "all":
        if everybody is None:
            refuse("all needs seats, or approvers that are people by name", where)
        return everybody
    if isinstance(value, str):
        refuse("quorum is a number, all or any", where)
    return integer(value, where, 1, most)


def _names(value: JsonValue, pointer: str) -> tuple[str, ...]:
    names = array(value, pointer, _MAX_NAMES, empty=True)
    for at, name in enumerate(names):
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            refuse(
                "an approver is role:approver, role:operator, role:admin, group:NAME or "
                "person:EMAIL",
                below(pointer, at),
            )
    return tuple(str(name) for name in names)


def _notices(value: JsonValue, pointer: str) -> tuple[Notice, ...]:
    items = array(value, pointer, _MAX_NOTICES, empty=True)
    return tuple(_notice(item, below(pointer, at)) for at, item in enumerate(items))


def _notice(value: JsonValue, pointer: str) -> Notice:
    fields = members(value, pointer, {"channel", "to"})
    channel = text(fields.get("channel"), below(pointer, "channel"), 32)
    if not _CHANNEL.fullmatch(channel):
        refuse("a channel is its name, such as slack", below(pointer, "channel"))
    to = array(fields.get("to", [SEATS]), below(pointer, "to"), _MAX_NAMES)
    addresses = (text(item, below(pointer, "to", at), _MAX_ADDRESS) for at, item in enumerate(to))
    return Notice(channel, tuple(addresses))


def _ladder(value: JsonValue, pointer: str) -> tuple[Rung, ...]:
    items = array(value, pointer, MAX_RUNGS, empty=True)
    rungs = tuple(_rung(item, below(pointer, at)) for at, item in enumerate(items))
    if any(rung.deny for rung in rungs[:-1]):
        refuse("only the last step of a ladder denies", pointer)
    return rungs


def _rung(value: JsonValue, pointer: str) -> Rung:
    fields = members(value, pointer, _RUNG)
    if "after" not in fields:
        refuse("after, in seconds, is missing", pointer)
    return Rung(
        after=integer(fields["after"], below(pointer, "after"), 1, _YEAR),
        approvers=_names(fields.get("approvers", []), below(pointer, "approvers")),
        notify=_notices(fields.get("notify", []), below(pointer, "notify")),
        repeat=integer(fields.get("repeat", 0), below(pointer, "repeat"), 0, MAX_REPEAT),
        deny=boolean(fields.get("deny", False), below(pointer, "deny")),
    )


def _check_people(plan: Plan, quorum: int, pointer: str) -> None:
    """Refuse seats for named people alone when these are too few for the quorum."""
    seats = plan.seats_at(len(plan.steps))
    if any(_people(seat) is None for seat in seats):
        return
    found = _matched([frozenset(seat) for seat in seats])
    if found < quorum:
        refuse(f"the seats name only {found} different people; {quorum} are needed", pointer)


def _matched(seats: Sequence[frozenset[str]]) -> int:
    """Return how many seats distinct names can fill at most."""
    taken: dict[str, int] = {}

    def place(number: int, tried: set[str]) -> bool:
        for name in sorted(seats[number] - tried):
            tried.add(name)
            if name not in taken or place(taken[name], tried):
                taken[name] = number
                return True
        return False

    return sum(place(number, set()) for number in range(len(seats)))
