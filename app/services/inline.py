"""Calls that a door carries out by itself, while the caller waits (GW-2, EXE-1)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from msgspec import structs

from app.core.call_errors import BodyNotStored
from app.core.errors import RateLimited, TargetUnavailable, TooBusy
from app.core.jobs import Postponed
from app.core.outcome import Content, HttpResult
from app.core.ports import Listener
from app.core.principals import Agent, Caller
from app.core.request import Request, Status
from app.core.targets import Target
from app.services.breakers import unavailable
from app.services.execution import Claimed, Execution
from app.services.intake import Asked, Intake
from app.services.rates import Rates
from app.services.spooling import Room, Share
from app.store.tx import Tx

_GRANT: Final = 1
"""Seconds that the grant of an inline call lasts. It is claimed with its making, so that this is
enough; should the process die before a byte leaves, nobody runs the call for a caller that has
gone and may have asked again."""


@dataclass(slots=True)
class _Held:
    """What the transaction claimed; it may be tried more than once."""

    claimed: Claimed | None = None


@dataclass(frozen=True, slots=True)
class Inline:
    """Submits a call and, where policy allows it, carries it out at once."""

    intake: Intake
    execution: Execution
    room: Room

    async def room_for(self, caller: Caller, asked: Asked) -> Share:
        """Return the room for a large body, which is read before its call is counted.

        So what the call will be refused for is looked at now, as far as it is known.

        :param asked: with the call's head alone.
        :raises TooBusy: as many of the agent's calls run as may.
        :raises RateLimited: a limit is used up.
        :raises TargetUnavailable: the target's breaker is open.
        """
        agent, target = await self.intake.addressed(caller, asked)
        rates, most = self.intake.rates, self.intake.settings.agent_concurrency
        try:
            rates.breakers.check(target.id)
            running = await self.intake.store.read(lambda tx: _looked(tx, rates, agent, target))
        except (RateLimited, TargetUnavailable) as error:
            await rates.note(caller.actor, error)
            raise
        if running >= most:
            raise TooBusy(retry_after=1)
        return self.room.share(agent.id)

    async def call(
        self,
        caller: Caller,
        asked: Asked,
        remote_ip: str | None,
        relay: Callable[[Request], Listener] | None = None,
        content: Content | None = None,
    ) -> tuple[Request, HttpResult | None]:
        """Return the request as it stands then, and the answer when there was one.

        :param relay: returns what takes the answer of a request while it comes; without one,
            the answer is collected first.
        :param content: the call's body, where it is detached; stored if a person has to decide.
        :raises TooBusy: as many of the agent's calls run as may; nothing was recorded.
        :raises RateLimited: a limit is used up; nothing was recorded.
        :raises TargetUnavailable: the target's breaker is open; nothing was recorded.
        """
        held = _Held()
        try:
            made = await self._submit(caller, asked, remote_ip, held)
        except BodyNotStored:
            if content is None:
                raise
            body_id = await self.execution.bodies.keep(content)
            try:
                asked = structs.replace(asked, body_id=body_id)
                made = await self._submit(caller, asked, remote_ip, held)
            finally:
                await self.execution.bodies.release(body_id)
        claimed = held.claimed
        if claimed is None or claimed.request.id != made.id:
            return made, None  # what an earlier run claimed was rolled back
        if content is not None:
            claimed = replace(claimed, content=content)
        taking = None if relay is None else relay(claimed.request)
        return await self.execution.carry_out(claimed, once=True, relay=taking)

    async def _submit(
        self, caller: Caller, asked: Asked, remote_ip: str | None, held: _Held
    ) -> Request:
        return await self.intake.submit(
            caller, structs.replace(asked, valid_for=_GRANT), remote_ip=remote_ip,
            then=lambda tx, request: self._claim(tx, request, held, asked),
        )  # fmt: skip

    def _claim(self, tx: Tx, request: Request, held: _Held, asked: Asked) -> Request:
        """Claim what is allowed; let what waits keep its body.

        :raises BodyNotStored: it waits, and its body is gone again; nothing was recorded.
        """
        held.claimed = None
        body = None if asked.call is None else asked.call.detached
        if body is not None and request.status is Status.PENDING:
            if not tx.bodies.link(asked.body_id, request.id, body):
                raise BodyNotStored(retry_after=1)
            return request
        if request.status is not Status.APPROVED:
            return request
        claimed = self.execution.claim_new(tx, request)
        if isinstance(claimed, Postponed):
            raise unavailable(claimed.seconds)
        held.claimed = claimed
        return claimed.request if claimed else tx.requests.get(request.id) or request


def _looked(tx: Tx, rates: Rates, agent: Agent, target: Target) -> int:
    """Look at the limits, and return how many of the agent's calls run."""
    rates.look(tx, agent, target.id)
    return tx.requests.executing(agent.id, by_people=False)
