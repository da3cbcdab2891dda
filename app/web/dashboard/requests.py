"""The inbox, one request, the history, and the decision."""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.core.ballots import check_shown
from app.core.card import card_of
from app.core.errors import AssentryError, InvalidCursor, InvalidFilter
from app.core.instant import SECOND, Instant
from app.core.principals import Caller
from app.core.request import Ballot, Choice, Status
from app.core.request import Request as Asked
from app.core.routing import Assurance
from app.services.cards import happened
from app.services.requests import Detail, Page
from app.services.results import result_document
from app.web.cursors import Cursor, encode
from app.web.dashboard.doors import Form, signed_in, to
from app.web.dashboard.rendering import page
from app.web.deps import services_of
from app.web.filters import in_utc, request_filter
from app.web.problems import status_of

_STATUS: Final = "request_status.html"

FRESH = 900
"""Seconds after signing in that count as the strongest proof of who decides (DEC-4)."""


_TIMES: Final = ("created_from", "created_to")


@signed_in
async def history(request: Request, caller: Caller) -> Response:
    """Show all requests, with filters in the address."""
    services = services_of(request)
    kept = [(name, value) for name, value in request.query_params.multi_items() if value]
    found, of, error = Page([], None, None), "", None
    try:
        wanted, limit, of = request_filter(in_utc(kept, _TIMES))
        found = await services.requests.page(caller, wanted, limit)
    except (InvalidFilter, InvalidCursor) as wrong:
        error = wrong
    return page(
        request, "history.html", caller=caller, items=found.items,
        older=found.older and encode(Cursor("before", found.older), of),
        newer=found.newer and encode(Cursor("after", found.newer), of),
        query={name: value for name, value in kept if name != "cursor"},
        statuses=list(Status),
        agents={agent.id: agent.name for agent in await services.agents.list(caller)},
        targets=await services.targets.list(caller), error=error,
        status=status_of(error) if error else 200,
    )  # fmt: skip


@signed_in
async def one(request: Request, caller: Caller) -> Response:
    """Show a request with all that its decision needs."""
    return await _one(request, caller, "request.html")


@signed_in
async def one_status(request: Request, caller: Caller) -> Response:
    """Show the parts that change, for the script."""
    return await _one(request, caller, _STATUS)


@signed_in
async def body(request: Request, caller: Caller) -> Response:
    """Download a body that is too large to be shown, as bytes and nothing else."""
    services = services_of(request)
    found = await services.requests.get(caller, request.path_params["request_id"])
    stored = await services.bodies.download(caller, found)
    headers = {
        "Content-Disposition": f'attachment; filename="{found.id}.bin"',
        "Content-Length": str(stored.size),
    }
    return StreamingResponse(stored.pieces(), 200, headers, "application/octet-stream")


async def _one(
    request: Request, caller: Caller, template: str, error: AssentryError | None = None
) -> Response:
    services = services_of(request)
    request_id = request.path_params["request_id"]
    detail = await services.requests.detail(caller, request_id)
    result = await services.requests.result(caller, request_id)
    submission = detail.submission
    people = {person.id: person.name for person in await services.people.list(caller)}
    seen = services.cards.card(detail, people, services.clock.now())
    return page(
        request, template, caller=caller, detail=detail, request=detail.request,
        card=None if submission is None else card_of(submission, detail.injected),
        result=None if result is None else result_document(result),
        left_out=_left_out(detail, people),
        seen=seen, display=seen.display, happened=happened(detail, people),
        alone=template == _STATUS,
        stale=template == _STATUS and request.query_params.get("display") != seen.display,
        people=people, path=_section(request, detail.request.status),
        place=await services.backlog.place(request_id)
        if detail.request.status is Status.APPROVED else None,
        form=request.state.form if request.method == "POST" else Form(),
        minded=[
            *await services.decisions.foreseen(detail.request, submission),
            *await services.reach.of_request(detail.request),
        ],
        weak=detail.may_decide and is_weak(caller, detail.request, services.clock.now()),
        error=error, status=status_of(error) if error else 200,
    )  # fmt: skip


def _section(request: Request, status: Status) -> str:
    """Return the address of the part of the site that a request belongs to."""
    return "/" if status in (Status.PENDING, Status.UNKNOWN) else request.scope["path"]


def _left_out(detail: Detail, people: Mapping[str, str]) -> dict[int, list[str]]:
    """Return by number of a call who leaves it out."""
    found: dict[int, list[str]] = {call.state.number: [] for call in detail.calls}
    for vote in detail.votes:
        for number in vote.ballot.excluded:
            found.setdefault(number, []).append(people.get(vote.person_id, vote.person_id))
    return found


@signed_in
async def call(request: Request, caller: Caller) -> Response:
    """Show the answer to one call of a bundle."""
    request_id, number = request.path_params["request_id"], request.path_params["number"]
    requests = services_of(request).requests
    found = await requests.get(caller, request_id)
    place = int(number) if number.isascii() and number.isdecimal() and len(number) < 3 else 0  # noqa: PLR2004
    result = await requests.call_result(caller, request_id, place)
    return page(
        request, "request_call.html", caller=caller, request=found, number=place,
        result=None if result is None else result_document(result),
    )  # fmt: skip


@signed_in
async def decide(request: Request, caller: Caller) -> Response:
    """Take a decision on exactly what the page showed."""
    form: Form = request.state.form
    request_id = request.path_params["request_id"]
    choice = Choice.APPROVE if form["decision"] == "approve" else Choice.DENY
    if form["decision"] not in ("approve", "deny"):
        message = "press Approve or Deny"
        return await _one(request, caller, "request.html", InvalidFilter(message))
    try:
        ballot = await _ballot(request, caller, choice)
        await services_of(request).decisions.cast(caller, request_id, ballot)
    except AssentryError as error:
        return await _one(request, caller, "request.html", error)
    return to(f"/requests/{request_id}")


async def _ballot(request: Request, caller: Caller, choice: Choice) -> Ballot:
    """Return what was pressed, with what the page showed and how sure we are of who pressed it."""
    form: Form = request.state.form
    services = services_of(request)
    detail = await services.requests.detail(caller, request.path_params["request_id"])
    now = services.clock.now()
    shown = services.cards.card(detail, {}, now).display
    check_shown(form["display"], shown)
    level = assurance_of(caller, now)
    numbers = [call.state.number for call in detail.calls if choice is Choice.APPROVE]
    out = tuple(number for number in numbers if form.ticked(f"except.{number}"))
    return Ballot(choice, form["digest"], form["comment"], "dashboard", level, shown, out)


def assurance_of(caller: Caller, now: Instant) -> Assurance:
    """Return how sure we are of who presses a button of a page."""
    since = caller.session.created_at if caller.session else now - FRESH * SECOND
    return Assurance.SESSION if now - since < FRESH * SECOND else Assurance.CHAT


def is_weak(caller: Caller, request: Asked, now: Instant) -> bool:
    """Whether the policy asks for a newer sign-in than the session's to decide a request."""
    return assurance_of(caller, now) < request.plan.assurance


@signed_in
async def settle(request: Request, caller: Caller) -> Response:
    """Say whether an unknown outcome ran."""
    form: Form = request.state.form
    request_id = request.path_params["request_id"]
    try:
        if form["ran"] not in ("yes", "no"):
            message = "say whether it ran"
            raise InvalidFilter(message)
        await services_of(request).decisions.settle(
            caller, request_id, ran=form["ran"] == "yes", note=form["note"]
        )
    except AssentryError as error:
        return await _one(request, caller, "request.html", error)
    return to(f"/requests/{request_id}")


@signed_in
async def reconcile(request: Request, caller: Caller) -> Response:
    """Look at the marker that a command left on its host."""
    request_id = request.path_params["request_id"]
    try:
        await services_of(request).markers.look(caller, request_id)
    except AssentryError as error:
        return await _one(request, caller, "request.html", error)
    return to(f"/requests/{request_id}")


@signed_in
async def cancel(request: Request, caller: Caller) -> Response:
    """Revoke a request (administrators)."""
    request_id = request.path_params["request_id"]
    try:
        await services_of(request).decisions.cancel(caller, request_id, "from the dashboard")
    except AssentryError as error:
        return await _one(request, caller, "request.html", error)
    return to(f"/requests/{request_id}")
