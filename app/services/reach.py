"""Whom policies reach: channels that are not set up here, and names that are nobody's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from app.core.policy import Effect, Scope, parse_policy
from app.core.policy_route import Route
from app.core.principals import Person, Role, at_least
from app.core.request import Request, Status
from app.core.routing import SEATS, Notice, Plan, Voter, shortage
from app.store.engine import Store
from app.store.policies import PolicyRecord
from app.store.tx import Tx

_PATTERN: Final = frozenset("*?[]{}\\!")


@dataclass(frozen=True, slots=True)
class Reach:
    """Says where a route or a scope leads nowhere as things are; it is taken all the same.

    :ivar channels: names of the channels that are set up.
    """

    store: Store
    channels: tuple[str, ...] = ()

    async def warnings(self, record: PolicyRecord) -> list[str]:
        """Return what scope and routes of a stored policy do not reach, a sentence each."""
        return await self.store.read(lambda tx: self.of_policy(tx, record))

    async def of_request(self, request: Request) -> list[str]:
        """Return what the route of a waiting request does not reach; people can mend it."""
        if request.status is not Status.PENDING or not request.plan_is_special:
            return []
        return await self.store.read(lambda tx: self.of(tx, request.plan))

    def of_policy(self, tx: Tx, record: PolicyRecord) -> list[str]:
        """Return the same in a unit of work; nothing of a policy that cannot be read."""
        if not _has_names(record):
            return []  # a list of many policies parses those alone that it must
        try:
            policy = parse_policy(record.document, id=record.id, version=record.version)
        except Exception:  # noqa: BLE001 - what is wrong with it is said by the compiled set
            return []
        rules = (rule for rule in policy.rules if rule.effect is Effect.REVIEW)
        told = [
            f"Rule {rule.name!r}: {warning}"
            for rule in rules
            for warning in self.of(tx, rule.route.plan) or _short(tx, rule.route)
        ]
        return [*_unknown(tx, policy.scope), *told]

    def of(self, tx: Tx, plan: Plan) -> list[str]:
        """Return what a plan does not reach, a sentence each."""
        notices = [*plan.notify, *(item for rung in plan.ladder for item in rung.notify)]
        names = [name for seat in plan.seats for name in seat]
        names += [name for rung in plan.ladder for name in rung.approvers]
        found = [*self._channels(notices), *_names(tx, names)]
        return list(dict.fromkeys(found))

    def _channels(self, notices: Sequence[Notice]) -> Iterator[str]:
        for notice in notices:
            if notice.channel not in self.channels:
                yield f"the channel {notice.channel} is not set up here, so nobody is told there"
            for address in notice.to:
                if address.startswith("#"):
                    yield f"{address} is a name; {notice.channel} is told where by an id"
                elif not address.strip() or (address != SEATS and address.startswith("@")):
                    yield f"{address!r} is no address in {notice.channel}"


def _short(tx: Tx, route: Route) -> list[str]:
    """Return that the people there are can never fill the seats, where there is more than one.

    Who stands in for somebody fills no seat that those two could not fill themselves.
    """
    if route.quorum == 1:
        return []
    groups = tx.groups.all()
    able = [
        Voter(person, frozenset(group.name for group in groups if person.id in group.members))
        for person in tx.people.all()
        if _may(person)
    ]
    why = shortage(route.plan, route.quorum, len(route.plan.steps), able)
    return [why] if why else []


def _has_names(record: PolicyRecord) -> bool:
    rules = record.document.get("rules")
    found = rules if isinstance(rules, list) else []
    routes = any(isinstance(rule, dict) and "route" in rule for rule in found)
    return routes or bool(record.document.get("scope"))


def _unknown(tx: Tx, scope: Scope) -> Iterator[str]:
    """Yield of a scope which names, written out whole, are nobody's here."""
    agents, targets = map(_written_out, (scope.agents, scope.targets))
    for kind, names, there in (
        ("agent", agents, tx.agents.all() if agents else ()),
        ("target", targets, tx.targets.all() if targets else ()),
    ):
        known = {one.name for one in there}
        for name in names:
            if name not in known:
                yield f"The scope: no {kind} is called {name}"


def _written_out(globs: Sequence[str]) -> list[str]:
    return [name for name in globs if not _PATTERN & set(name)]


def _names(tx: Tx, names: Sequence[str]) -> Iterator[str]:
    kinds = [name.partition(":")[::2] for name in names]
    groups = {}
    if any(kind == "group" for kind, _ in kinds):
        groups = {group.name: group.members for group in tx.groups.all()}
    for kind, name in kinds:
        if kind == "group" and name not in groups:
            yield f"there is no group {name}"
        elif kind == "group" and not any(_may(tx.people.get(one)) for one in groups[name]):
            yield f"nobody in the group {name} may decide"
        elif kind == "person":
            who = tx.people.get(name) or tx.people.by_email(name)
            if not _may(who):
                yield f"{name} is nobody here who may decide"


def _may(person: Person | None) -> bool:
    return person is not None and person.active and at_least(person.role, Role.APPROVER)
