"""Whom routes reach: channels that are not set up here, and names that are nobody's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.core.policy import Effect, parse_policy
from app.core.principals import Person, Role, at_least
from app.core.request import Request, Status
from app.core.routing import SEATS, Notice, Plan
from app.store.engine import Store
from app.store.policies import PolicyRecord
from app.store.tx import Tx


@dataclass(frozen=True, slots=True)
class Reach:
    """Says where a route leads nowhere as things are; it is taken all the same.

    :ivar channels: names of the channels that are set up.
    """

    store: Store
    channels: tuple[str, ...] = ()

    async def warnings(self, record: PolicyRecord) -> list[str]:
        """Return what the routes of a stored policy do not reach, a sentence each."""
        return await self.store.read(lambda tx: self.of_policy(tx, record))

    async def of_request(self, request: Request) -> list[str]:
        """Return what the route of a waiting request does not reach; people can mend it."""
        if request.status is not Status.PENDING or not request.plan_is_special:
            return []
        return await self.store.read(lambda tx: self.of(tx, request.plan))

    def of_policy(self, tx: Tx, record: PolicyRecord) -> list[str]:
        """Return the same in a unit of work; nothing of a policy that cannot be read."""
        if not _has_routes(record):
            return []  # a list of many policies parses those alone that it must
        try:
            policy = parse_policy(record.document, id=record.id, version=record.version)
        except Exception:  # noqa: BLE001 - what is wrong with it is said by the compiled set
            return []
        rules = (rule for rule in policy.rules if rule.effect is Effect.REVIEW)
        return [
            f"Rule {rule.name!r}: {warning}"
            for rule in rules
            for warning in self.of(tx, rule.route.plan)
        ]

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


def _has_routes(record: PolicyRecord) -> bool:
    rules = record.document.get("rules")
    found = rules if isinstance(rules, list) else []
    return any(isinstance(rule, dict) and "route" in rule for rule in found)


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
