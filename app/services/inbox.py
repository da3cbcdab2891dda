"""The inbox: what waits for people, the first to expire first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.core.ballots import obstacle
from app.core.errors import InvalidCursor
from app.core.principals import Caller, Person, Scope
from app.core.request import Request, Status
from app.services.access import require
from app.services.judging import rules_from
from app.services.requests import Page
from app.store.engine import Store
from app.store.inbox import Waiting, soonest
from app.store.request_filter import RequestFilter
from app.store.tx import Tx

__all__ = ("Inbox", "Waiting")

_UNSETTLED: Final = 50
"""Most requests of unknown outcome that stand above the others; the history has all."""


@dataclass(frozen=True, slots=True)
class Inbox:
    """What people look through."""

    store: Store

    async def page(self, caller: Caller, wanted: Waiting, place: str, limit: int) -> Page:
        """Return a page; its first one begins with what somebody must settle.

        :param place: where it begins, from a page before: ``later.`` or ``sooner.`` and a place.
        :raises InvalidCursor: the place is none.
        """
        require(caller, Scope.REQUEST_READ)
        if caller.agent is not None:
            wanted = replace(wanted, agent_id=caller.agent.id)
        return await self.store.read(lambda tx: _page(tx, _placed(wanted, place), limit))

    async def decidable(self, caller: Caller, items: Sequence[Request]) -> frozenset[str]:
        """Return the ids of those requests that the caller may decide and has not voted on."""
        person = caller.person
        if person is None or not caller.may(Scope.REQUEST_DECIDE):
            return frozenset()
        waiting = [item for item in items if item.status is Status.PENDING]
        return await self.store.read(lambda tx: _decidable(tx, person, waiting))


def _decidable(tx: Tx, person: Person, waiting: Sequence[Request]) -> frozenset[str]:
    facts = tx.people.facts()
    voters = {action: tx.groups.voter(person, action) for action in {one.action for one in waiting}}
    agents = {name: tx.agents.get(name) for name in {one.agent_id for one in waiting}}
    return frozenset(
        one.id
        for one in waiting
        if obstacle(one, voters[one.action], rules_from(facts, agents[one.agent_id])) is None
        and not (one.approvals + one.denials and tx.requests.has_voted(one.id, person.id))
    )


def _placed(wanted: Waiting, place: str) -> Waiting:
    if not place:
        return wanted
    way, _, rest = place.partition(".")
    at, _, than = rest.partition("_")
    if way not in ("later", "sooner") or not at.isdecimal() or len(at) > 18:  # noqa: PLR2004
        raise InvalidCursor(pointer="/cursor")
    return replace(wanted, **{way: (int(at), than)})


def _page(tx: Tx, wanted: Waiting, limit: int) -> Page:
    found = soonest(tx, wanted, limit + 1)
    more = len(found) > limit
    if wanted.sooner is not None:
        items, older, newer = found[-limit:], bool(found), more
    else:
        items, older, newer = found[:limit], more, wanted.later is not None and bool(found)
    above = [] if wanted.later or (wanted.sooner and newer) else _unsettled(tx, wanted)
    return Page(
        items=[*above, *items],
        older=_key(items[-1]) if items and older else None,
        newer=_key(items[0]) if items and newer else None,
    )


def _key(request: Request) -> str:
    return f"{request.expires_at}_{request.id}"


def _unsettled(tx: Tx, wanted: Waiting) -> list[Request]:
    unknown = RequestFilter(
        agent_id=wanted.agent_id, target_id=wanted.target_id, statuses=(Status.UNKNOWN,)
    )
    found = tx.requests.find(unknown, _UNSETTLED)
    return [item for item in found if wanted.urgency in (None, item.urgency)]
