"""What a host says of a command whose outcome is unknown, by the marker that it left there."""

from dataclasses import dataclass

from app.core import events as ev
from app.core.action_kinds import Kind
from app.core.errors import (
    AssentryError,
    Conflict,
    Forbidden,
    InvalidKey,
    NotFound,
    Unavailable,
)
from app.core.execution import Refusal, ssh_plan_of, verify_payload, verify_target
from app.core.json_types import JsonObject
from app.core.lifecycle import step
from app.core.outcome import NotStarted
from app.core.ports import LooksBack
from app.core.principals import Caller, Role, Scope, at_least
from app.core.request import Request, Status
from app.core.ssh_action import SshExec
from app.core.ssh_marker import Marker, Says
from app.core.ssh_plan import SshPlan
from app.core.targets import Target
from app.services.access import require
from app.services.execution import HOST_KEY_CHANGED, Execution
from app.store.tx import Tx


class NoMarker(Conflict):
    """This request leaves no marker, or its outcome is known."""

    code = "no_marker"


class MarkerNotRead(Unavailable):
    """The host could not be asked for the marker."""

    code = "marker_not_read"


@dataclass(frozen=True, slots=True)
class Looked:
    """A request as it stands after a look, and what was found."""

    request: Request
    marker: Marker


@dataclass(frozen=True, slots=True)
class Markers:
    """Looks at markers for operators; what ended is settled by that, all else stays theirs."""

    execution: Execution

    async def look(self, caller: Caller, request_id: str) -> Looked:
        """Look at the marker of a request with unknown outcome, and settle it where it ended.

        Nothing of the request is run, now or later. A look that fails is on record as well.

        :raises NoMarker: there can be none, or the outcome is known.
        :raises MarkerNotRead: the host could not be asked, or is not to be any more.
        """
        require(caller, Scope.REQUEST_DECIDE)
        store = self.execution.store
        try:
            request, target, plan = await store.read(lambda tx: _asked(tx, caller, request_id))
        except MarkerNotRead as error:
            await self._failed(caller, request_id, error)
            raise
        try:
            marker = await self._look(request, target, plan)
        except AssentryError as error:
            await self._failed(caller, request_id, error)
            raise
        return await store.write(
            lambda tx: _noted(tx, caller, request_id, marker), order=request_id
        )

    async def _failed(self, caller: Caller, request_id: str, error: AssentryError) -> None:
        """Write who looked in vain, and why: a stable slug, and the sentence that was shown."""
        details: JsonObject = {"cause": _cause(error), "detail": error.detail}
        subject = f"request:{request_id}"
        await self.execution.store.write(
            lambda tx: tx.note(
                "request.marker_not_read", caller.actor, subject, details, request_id
            ),
            order=request_id,
        )

    async def _look(self, request: Request, target: Target, plan: SshPlan) -> Marker:
        executor = self.execution.executors[Kind.SSH.value]
        if not isinstance(executor, LooksBack):
            raise MarkerNotRead
        injection = await self.execution.vault.for_execution(target, request.agent_id)
        try:
            return await executor.look_back(plan, injection)
        except NotStarted as error:
            detail = error.detail
            if error.code == HOST_KEY_CHANGED:
                await self.execution.store.write(
                    lambda tx: self.execution.host_key_refused(tx, target, request, detail)
                )
            raise MarkerNotRead(detail, extra={"cause": error.code}) from error


def _cause(error: AssentryError) -> str:
    cause = error.extra.get("cause")
    return cause if isinstance(cause, str) else error.code


def _asked(tx: Tx, caller: Caller, request_id: str) -> tuple[Request, Target, SshPlan]:
    _check(tx, caller)
    request = tx.requests.get(request_id)
    if request is None:
        message = "there is no such request"
        raise NotFound(message)
    if request.status is not Status.UNKNOWN or request.kind is not Kind.SSH:
        raise NoMarker
    try:
        submission = verify_payload(request, tx.requests.votes(request.id))
        plan_target = tx.targets.get(request.target_id or "")
        place = submission.target.ssh if submission.target else None
        if place is None or not place.marker_dir or not isinstance(submission.action, SshExec):
            raise NoMarker
        target = verify_target(submission, plan_target)
    except Refusal as refusal:
        raise MarkerNotRead(refusal.note, extra={"cause": refusal.code}) from refusal
    return request, target, ssh_plan_of(submission, target, request.id)


def _check(tx: Tx, caller: Caller) -> None:
    """Refuse everybody but operators, as they are now."""
    person = None if caller.person is None else tx.people.get(caller.person.id)
    if caller.agent is not None or person is None:
        message = "only a person looks at markers"
        raise Forbidden(message)
    if not person.active or not at_least(person.role, Role.OPERATOR):
        message = "looking at markers needs the role operator"
        raise Forbidden(message)
    if caller.key is not None and not tx.agents.key_stands(caller.key.id):
        raise InvalidKey


def _noted(tx: Tx, caller: Caller, request_id: str, marker: Marker) -> Looked:
    """Write what was found, and settle what ended."""
    _check(tx, caller)
    request = tx.requests.lock(request_id)
    if request is None or request.status is not Status.UNKNOWN:
        raise NoMarker
    details = marker.document()
    tx.note("request.marker_read", caller.actor, f"request:{request.id}", details, request.id)
    if marker.says is not Says.FINISHED:
        return Looked(request, marker)
    event = ev.Settle(
        caller.actor, ran=True, note=marker.detail, outcome=marker.outcome(),
        complete=marker.exit_code == 0,
    )  # fmt: skip
    return Looked(tx.record(step(request, event, tx.now)), marker)
