"""Deciding several requests at once: look at each, then one decision on what was looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.core import request as core
from app.core.approval_card import ApprovalCard
from app.core.ballots import check_shown
from app.core.card import Card, card_of
from app.core.errors import AssentryError, InvalidField, InvalidFilter, NotFound, NotShownInFull
from app.core.principals import Caller
from app.core.request import Ballot, Choice
from app.services.decisions import MAX_SELECTION
from app.services.requests import Detail
from app.web.dashboard.doors import Form, signed_in
from app.web.dashboard.inbox import nothing_picked
from app.web.dashboard.rendering import page
from app.web.dashboard.requests import assurance_of, is_weak
from app.web.deps import services_of

_PICKED: Final = "pick."
_ROOM: Final = 200_000
"""Bytes of payloads that one page shows; what is beyond is decided on its own page."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A request of the selection, as the page shows it; ``outcome`` once it was decided on.

    :ivar seen: the same with everything made visible, which counts what had to be.
    :ivar weak: whether the policy asks for a newer sign-in to decide it.
    :ivar card: None when it is damaged, or too large to be shown beside the others. Of another a
        part may be known by its digest only; then it is shown, and decided on its own page.
    """

    detail: Detail
    card: Card | None
    display: str
    seen: ApprovalCard | None = None
    outcome: core.Request | AssentryError | None = None
    weak: bool = False

    @property
    def whole(self) -> bool:
        """Whether every byte of what will run stands on the page."""
        return self.card is not None and self.seen is not None and self.seen.whole

    @property
    def waits(self) -> bool:
        """Whether it can be decided on this page."""
        return self.detail.may_decide and self.whole and not self.weak


@signed_in
async def review(request: Request, caller: Caller) -> Response:
    """Show exactly what each of the selected requests would run."""
    names = list(dict.fromkeys(request.query_params.getlist("pick")))
    if not names:
        return await nothing_picked(request, caller)
    return await _page(request, caller, await _shown(request, caller, names))


@signed_in
async def decide(request: Request, caller: Caller) -> Response:
    """Take one decision on what the page showed, and say what came of each."""
    form: Form = request.state.form
    picked = {name.removeprefix(_PICKED): value for name, value in form.items()
              if name.startswith(_PICKED)}  # fmt: skip
    found = await _shown(request, caller, list(picked))
    if form["decision"] not in ("approve", "deny"):
        error = InvalidFilter("press Approve or Deny")
        return await _page(request, caller, found, error)
    try:
        ballots = {item.detail.request.id: _ballot(request, caller, item, picked) for item in found}
        done = await services_of(request).decisions.cast_all(caller, ballots)
    except AssentryError as error:
        return await _page(request, caller, found, error)
    decided = [replace(item, outcome=done[item.detail.request.id]) for item in found]
    return await _page(request, caller, decided)


def _ballot(request: Request, caller: Caller, item: Shown, picked: dict[str, str]) -> Ballot:
    form: Form = request.state.form
    choice = Choice.APPROVE if form["decision"] == "approve" else Choice.DENY
    digest, _, display = picked[item.detail.request.id].partition(".")
    if not item.whole:
        raise NotShownInFull
    check_shown(display, item.display)
    level = assurance_of(caller, services_of(request).clock.now())
    return Ballot(choice, digest, form["comment"], "dashboard", level, display)


async def _shown(request: Request, caller: Caller, names: Sequence[str]) -> list[Shown]:
    if not 0 < len(names) <= MAX_SELECTION:
        message = f"select from 1 to {MAX_SELECTION} requests in the inbox"
        raise InvalidField(message, pointer="/pick")
    found: list[Shown] = []
    cards, room = services_of(request).cards, _ROOM
    for name in names:
        try:
            detail = await services_of(request).requests.detail(caller, name)
        except NotFound:
            continue
        submission, room = detail.submission, room - len(detail.request.payload)
        if submission is None or room < 0:
            found.append(Shown(detail, None, ""))
            continue
        now = services_of(request).clock.now()
        seen, weak = cards.card(detail, {}, now), is_weak(caller, detail.request, now)
        card = card_of(submission, detail.injected)
        found.append(Shown(detail, card, seen.display, seen, weak=weak))
    return found


async def _page(
    request: Request, caller: Caller, found: Sequence[Shown], error: AssentryError | None = None
) -> Response:
    done = [item for item in found if item.outcome is not None]
    waiting = [item for item in found if item.waits]
    return page(
        request, "selection.html", caller=caller, items=found, waiting=waiting, done=done,
        counted=sum(not isinstance(item.outcome, AssentryError) for item in done),
        error=error, status=400 if error else 200,
    )  # fmt: skip
