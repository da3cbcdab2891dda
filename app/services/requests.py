"""Reading requests: one, a page, and all that a person needs to decide."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from app.core.action import BundleAction, BundleItem, HttpAction, Kind, Submission, unseal
from app.core.ballots import counting, obstacle, standing_in
from app.core.bundle import CallState
from app.core.call_errors import ResultNotKept
from app.core.errors import Invalid, NotFound
from app.core.execution import Refusal, verify_payload
from app.core.handles import Handle, handles_in
from app.core.outcome import HttpResult
from app.core.policy import Effect
from app.core.principals import Agent, Caller, Person, Scope
from app.core.request import Request, Status, Vote
from app.core.routing import Voter, shortage
from app.core.ssh_action import SshAction
from app.core.targets import Target
from app.services.access import require
from app.services.decisions import able
from app.services.execution import RESULT
from app.services.judging import rules_of
from app.services.notices import UNDELIVERED
from app.services.results import ITEM_RESULT, unpack
from app.services.sealing import LONGEST_HEAD, Sealer, key_id
from app.store.audit import AuditRecord
from app.store.engine import Store
from app.store.requests import RequestFilter
from app.store.tx import Tx

__all__ = ("Detail", "Listing", "Page", "RequestFilter", "Requests")

T = TypeVar("T")
_BATCH: Final = 200
_NONE: Final = "there is no such request"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of requests, newest first; the ids lead to the neighbours, when there are any."""

    items: list[Request]
    older: str | None
    newer: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A page as (id, version) pairs, newest first."""

    items: list[tuple[str, int]]
    older: str | None
    newer: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A call of a bundle with how it stands."""

    item: BundleItem
    state: CallState


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything about one request that a page shows.

    :ivar submission: None when the stored payload is not what was submitted.
    :ivar damage: why there is no submission.
    :ivar injected: what the vault would add, named without values.
    :ivar calls: of a bundle, with how they stand.
    :ivar seated: who approved and still may.
    :ivar shortage: why these people can never reach the quorum, or empty.
    :ivar why_not: why this caller may not decide, empty when it may.
    :ivar in_place_of: in whose places alone this caller decides.
    """

    request: Request
    submission: Submission | None
    damage: str
    verdict: dict[str, Any]
    votes: list[Vote]
    trail: list[AuditRecord]
    agent: Agent | None
    owner: Person | None
    target: Target | None
    injected: tuple[str, ...]
    calls: list[Listed]
    deciders: list[Person]
    seated: list[Voter]
    shortage: str
    why_not: str
    in_place_of: tuple[Person, ...] = ()

    @property
    def may_decide(self) -> bool:
        """Whether the caller may decide this request now."""
        return not self.why_not and self.request.status is Status.PENDING


@dataclass(frozen=True, slots=True)
class Requests:
    """What callers may read; an agent sees its own requests only (I9)."""

    store: Store
    sealer: Sealer

    async def get(self, caller: Caller, request_id: str) -> Request:
        """Return one request.

        :raises NotFound: no such request, or another agent's.
        """
        require(caller, Scope.REQUEST_READ)
        request = await self.store.read(lambda tx: tx.requests.get(request_id))
        return visible(caller, request)

    async def version(self, caller: Caller, request_id: str) -> int:
        """Return the version of a request, for a door that keeps what it rendered.

        It is 0 for a bundle, whose calls change without it.

        :raises NotFound: no such request, or another agent's.
        """
        require(caller, Scope.REQUEST_READ)
        head = await self.store.read(lambda tx: tx.requests.head(request_id))
        if head is None or (caller.agent is not None and head[1] != caller.agent.id):
            raise NotFound(_NONE)
        return 0 if head[2] == Kind.BUNDLE else head[0]

    async def page(self, caller: Caller, wanted: RequestFilter, limit: int) -> Page:
        """Return a page; ``wanted.before`` and ``wanted.after`` are the cursors."""
        seen = _seen(caller, wanted)
        if seen is None:
            return Page([], None, None)
        found = await self.store.read(lambda tx: tx.requests.find(seen, limit + 1))
        items, older, newer = cut(found, limit, before=seen.before, after=seen.after)
        return Page(
            items=items,
            older=items[-1].id if items and older else None,
            newer=items[0].id if items and newer else None,
        )

    async def listing(self, caller: Caller, wanted: RequestFilter, limit: int) -> Listing:
        """Return a page as ids and versions, for a door that keeps what it rendered."""
        seen = _seen(caller, wanted)
        if seen is None:
            return Listing([], None, None)
        found = await self.store.read(lambda tx: tx.requests.find_versions(seen, limit + 1))
        items, older, newer = cut(found, limit, before=seen.before, after=seen.after)
        return Listing(
            items=items,
            older=items[-1][0] if items and older else None,
            newer=items[0][0] if items and newer else None,
        )

    async def many(self, caller: Caller, ids: list[str]) -> list[Request]:
        """Return those of the requests that the caller sees, in no particular order."""
        require(caller, Scope.REQUEST_READ)
        found = await self.store.read(lambda tx: tx.requests.many(ids))
        own = None if caller.agent is None else caller.agent.id
        return [request for request in found if own in (None, request.agent_id)]

    async def trail(self, caller: Caller, request_id: str) -> list[AuditRecord]:
        """Return the audit entries of a request, oldest first.

        An agent is not told which people could not be reached, and where they are.
        """
        await self.get(caller, request_id)
        found = await self.store.read(lambda tx: tx.audit.of_request(request_id))
        return [one for one in found if caller.agent is None or one.event != UNDELIVERED]

    async def votes(self, caller: Caller, request_id: str) -> list[Vote]:
        """Return the votes on a request, oldest first."""
        await self.get(caller, request_id)
        return await self.store.read(lambda tx: tx.requests.votes(request_id))

    async def result(self, caller: Caller, request_id: str) -> HttpResult | None:
        """Return the upstream's answer, or None when there is none (any more)."""
        await self.get(caller, request_id)
        sealed = await self.store.read(lambda tx: tx.results.get(request_id))
        if sealed is None:
            return None
        return unpack(self.sealer.open(RESULT, request_id, sealed))

    async def rewrap_results(self) -> int:
        """Wrap every sealed result by the current master key; return how many were not yet.

        :raises CannotOpen: one does not open, because a former master key is missing.
        """
        count, last = 0, ""
        while heads := await self.store.read(
            lambda tx, after=last: tx.results.heads(after, LONGEST_HEAD, _BATCH)
        ):
            for request_id, head in heads:
                if key_id(head) != self.sealer.current:
                    count += await self.store.write(
                        lambda tx, one=request_id: self._rewrap(tx, one), order=request_id
                    )
            last = heads[-1][0]
        return count

    def _rewrap(self, tx: Tx, request_id: str) -> int:
        sealed = tx.results.get(request_id)
        if sealed is None:
            return 0
        fresh = self.sealer.rewrap(RESULT, request_id, sealed)
        return int(tx.results.reseal(request_id, sealed, fresh))

    async def check_kept(self, caller: Caller, request_id: str) -> None:
        """Say that an answer was passed on and is not here, where that is so.

        :raises ResultNotKept: with its size and digest.
        """
        request = await self.get(caller, request_id)
        outcome: dict[str, Any] = json.loads(request.outcome) if request.outcome else {}
        if outcome.get("kept") is False:
            raise ResultNotKept(extra={"outcome": outcome})

    async def calls(self, caller: Caller, request: Request) -> list[Listed]:
        """Return the calls of a bundle that the caller sees; none of what is no bundle."""
        visible(caller, request)
        if request.kind is not Kind.BUNDLE:
            return []
        return listed(request, await self.store.read(lambda tx: tx.bundles.of(request.id)))

    async def call_result(self, caller: Caller, request_id: str, number: int) -> HttpResult | None:
        """Return the upstream's answer to a call of a bundle, or None when there is none.

        :raises NotFound: no such request, or another agent's; or it has no such call.
        """
        await self.get(caller, request_id)
        if await self.store.read(lambda tx: tx.bundles.get(request_id, number)) is None:
            message = "this request has no such call"
            raise NotFound(message)
        sealed = await self.store.read(lambda tx: tx.bundles.result(request_id, number))
        if sealed is None:
            return None
        return unpack(self.sealer.open(ITEM_RESULT, f"{request_id}/{number}", sealed))

    async def detail(self, caller: Caller, request_id: str) -> Detail:
        """Return all that a page about the request shows."""
        request = await self.get(caller, request_id)
        return await self.store.read(lambda tx: detail_of(tx, request, caller.person))

    async def waiting(self, caller: Caller) -> dict[Status, int]:
        """Return how many requests stand in each unfinished status."""
        require(caller, Scope.REQUEST_READ)
        agent_id = None if caller.agent is None else caller.agent.id
        return await self.store.read(lambda tx: tx.requests.counts(agent_id))

    async def pending_of(self, caller: Caller, agent_id: str) -> int:
        """Return how many of an agent's requests are pending, which its limit is about."""
        require(caller, Scope.REQUEST_READ)
        if caller.agent is not None and caller.agent.id != agent_id:
            return 0
        counts = await self.store.read(lambda tx: tx.requests.counts(agent_id))
        return counts.get(Status.PENDING, 0)


def visible(caller: Caller, request: Request | None) -> Request:
    """Return a request that the caller may see.

    :raises NotFound: no such request, or another agent's.
    """
    if request is None or (caller.agent is not None and request.agent_id != caller.agent.id):
        raise NotFound(_NONE)
    return request


def _seen(caller: Caller, wanted: RequestFilter) -> RequestFilter | None:
    """Return the filter within what the caller sees, or None when that is nothing."""
    require(caller, Scope.REQUEST_READ)
    if caller.agent is None:
        return wanted
    if wanted.agent_id not in (None, caller.agent.id):
        return None
    return replace(wanted, agent_id=caller.agent.id)


def cut(found: list[T], limit: int, *, before: object, after: object) -> tuple[list[T], bool, bool]:
    """Return the page among one row more than it holds, and whether there are older and newer."""
    more = len(found) > limit
    if after is not None:
        return (found[1:] if more else found), bool(found), more
    items = found[:limit]
    return items, more, before is not None and bool(items)


def detail_of(tx: Tx, request: Request, person: Person | None) -> Detail:
    """Return all about a request, as seen by a person or by nobody in particular."""
    votes = tx.requests.votes(request.id)
    submission, damage = _opened(request)
    target = None if request.target_id is None else tx.targets.get(request.target_id)
    voters = able(tx, request)
    return Detail(
        request=request,
        submission=submission,
        damage=damage,
        verdict=json.loads(request.verdict),
        votes=votes,
        trail=tx.audit.of_request(request.id),
        agent=tx.agents.get(request.agent_id),
        owner=None if request.owner_id is None else tx.people.get(request.owner_id),
        target=target,
        injected=_all_injected(tx, submission, target),
        calls=listed(request, tx.bundles.of(request.id)) if request.kind is Kind.BUNDLE else [],
        deciders=[voter.person for voter in voters],
        seated=_seated(tx, request, votes),
        shortage=shortage(request.plan, request.quorum, request.stage, voters),
        why_not=_why_not(tx, request, person, votes),
        in_place_of=_in_place_of(tx, request, person),
    )


def listed(request: Request, states: Sequence[CallState]) -> list[Listed]:
    """Return the calls of a bundle with how they stand; none when it cannot be read."""
    submission, _ = _opened(request)
    if submission is None or not isinstance(submission.action, BundleAction):
        return []
    items = submission.action.items
    return [Listed(item, state) for item, state in zip(items, states, strict=False)]


def _opened(request: Request) -> tuple[Submission | None, str]:
    try:
        verify_payload(_undecided(request), [])
        return unseal(request.payload), ""
    except Refusal as refusal:
        return None, refusal.note


def _undecided(request: Request) -> Request:
    """Return the request as if no vote were needed, to check its payload alone."""
    return replace(request, effect=Effect.ALLOW)


def _all_injected(tx: Tx, submission: Submission | None, target: Target | None) -> tuple[str, ...]:
    """Return what the vault would add; of a bundle, each thing with the calls that it goes with."""
    if submission is None:
        return ()
    action = submission.action
    if isinstance(action, HttpAction | SshAction):
        return _injected(tx, target, action)
    items = action.items if isinstance(action, BundleAction) else ()
    calls: dict[str, list[int]] = {}
    for number, item in enumerate(items, 1):
        for line in _injected(tx, tx.targets.get(item.target.id), item.call):
            calls.setdefault(line, []).append(number)
    return tuple(f"{line}{_with(numbers, len(items))}" for line, numbers in calls.items())


def _with(numbers: list[int], count: int) -> str:
    """Return which calls of a bundle something goes with; nothing where there is one alone."""
    if len(numbers) == count:
        return " (every call)" if count > 1 else ""
    return f" (call{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))})"


def _injected(tx: Tx, target: Target | None, action: HttpAction | SshAction) -> tuple[str, ...]:
    """Return what the vault would add to a call, named without values."""
    if target is None:
        return ()
    http = isinstance(action, HttpAction)
    method, path = (action.method, action.path) if http else ("", "")
    credential_id = target.credential_for(method, path)
    credential = None if credential_id is None else tx.vault.get(credential_id)
    handles = tuple(f"{{{{{handle.text}}}}}" for handle in (_handles(action) if http else ()))
    return (*(() if credential is None else credential.shown), *handles)


def _handles(action: HttpAction) -> tuple[Handle, ...]:
    try:
        return handles_in(action)
    except Invalid:
        return ()


def _seated(tx: Tx, request: Request, votes: list[Vote]) -> list[Voter]:
    people = ((vote, tx.people.get(vote.person_id)) for vote in votes)
    voters = [(vote, tx.groups.voter(who, request.action)) for vote, who in people if who]
    return counting(request, voters, rules_of(tx, request))


def _why_not(tx: Tx, request: Request, person: Person | None, votes: list[Vote]) -> str:
    if person is None:
        return "Only a person decides."
    if any(vote.person_id == person.id for vote in votes):
        return "You have voted on this request."
    voter = tx.groups.voter(person, request.action)
    return obstacle(request, voter, rules_of(tx, request)) or ""


def _in_place_of(tx: Tx, request: Request, person: Person | None) -> tuple[Person, ...]:
    if person is None or request.status is not Status.PENDING:
        return ()
    return standing_in(request, tx.groups.voter(person, request.action), rules_of(tx, request))
