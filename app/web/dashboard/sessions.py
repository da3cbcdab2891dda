"""Set-up, sign-in, sign-out and one's own account."""

from collections.abc import Collection

from starlette.requests import Request
from starlette.responses import Response

from app.core.errors import AssentryError
from app.core.principals import Caller
from app.web.dashboard.doors import (
    Form,
    end_of,
    form_of,
    local,
    opened,
    signed_in,
    to,
    with_session,
)
from app.web.dashboard.rendering import page
from app.web.deps import check_origin, cookie_name, remote_ip, services_of
from app.web.problems import status_of


@opened
async def setup(request: Request) -> Response:
    """Show the set-up form, once."""
    if not await services_of(request).people.setup_open():
        return to("/sign-in")
    form = Form(token=request.query_params.get("token", ""))
    return page(request, "setup.html", form=form)


@opened
async def set_up(request: Request) -> Response:
    """Make the first administrator and sign them in."""
    check_origin(request)
    form = await form_of(request)
    try:
        _, token = await services_of(request).people.set_up(
            form["token"], form["name"], form["email"], form["password"],
            works_alone=form.ticked("works_alone"),
        )  # fmt: skip
    except AssentryError as error:
        return page(request, "setup.html", form=form, error=error, status=status_of(error))
    return with_session(request, to("/"), token)


@opened
async def sign_in_form(request: Request) -> Response:
    """Show the sign-in form."""
    if await services_of(request).people.setup_open():
        return to("/setup")
    form = Form(next=local(request.query_params.get("next", "/")))
    lost = request.query_params.get("lost") == "yes"
    return page(request, "sign_in.html", form=form, lost=lost)


@opened
async def sign_in(request: Request) -> Response:
    """Start a session."""
    check_origin(request)
    form = await form_of(request)
    agent = request.headers.get("user-agent", "")
    try:
        _, token = await services_of(request).people.sign_in(
            form["email"], form["password"], remote_ip(request), agent
        )
    except AssentryError as error:
        status = status_of(error)
        return page(request, "sign_in.html", form=form, error=error, status=status, lost=False)
    return with_session(request, to(local(form["next"])), token)


@signed_in
async def sign_out(request: Request, caller: Caller) -> Response:
    """End the session."""
    services = services_of(request)
    await services.people.sign_out(caller)
    answer = to("/sign-in")
    answer.delete_cookie(cookie_name(secure=services.settings.secure_cookies), path="/")
    return answer


@signed_in
async def account(request: Request, caller: Caller) -> Response:
    """Show one's own account."""
    return await _account(request, caller)


@signed_in
async def change_password(request: Request, caller: Caller) -> Response:
    """Change one's own password."""
    form: Form = request.state.form
    try:
        await services_of(request).people.change_password(
            caller, form["old"], form["new"], end_keys=form.ticked("end_keys")
        )
    except AssentryError as error:
        return await _account(request, caller, error)
    return to("/account?changed=yes")


@signed_in
async def end_sessions(request: Request, caller: Caller) -> Response:
    """End all of one's sessions, this one too."""
    if caller.person is not None:
        await services_of(request).people.revoke_sessions(caller, caller.person.id)
    return to("/sign-in")


@signed_in
async def create_key(request: Request, caller: Caller) -> Response:
    """Make a key of one's own and show it, this once."""
    form: Form = request.state.form
    services = services_of(request)
    try:
        _, secret = await services.agents.create_key(
            caller, name=form["name"], scopes=[s.value for s in caller.scopes if form.ticked(s)],
            person_id=_own_id(caller),
            expires_at=end_of(form, services.clock.now()), password=form["password"],
        )  # fmt: skip
    except AssentryError as error:
        return await _account(request, caller, error)
    return await _account(request, caller, secret=secret)


@signed_in
async def revoke_key(request: Request, caller: Caller) -> Response:
    """End a key of one's own."""
    await services_of(request).agents.revoke_key(caller, request.path_params["key_id"])
    return to("/account")


def _own_id(caller: Caller) -> str:
    return caller.person.id if caller.person else ""


async def _account(
    request: Request, caller: Caller, error: AssentryError | None = None, secret: str = ""
) -> Response:
    services = services_of(request)
    sessions = await services.people.sessions(caller)
    people = await services.people.list(caller)
    own = _own_id(caller)
    return page(
        request, "account.html", caller=caller, sessions=sessions, error=error, secret=secret,
        identities=[
            item for item in await services.accounts.identities(caller) if item.person_id == own
        ],
        leave=await services.accounts.delegations(caller), names={p.id: p.name for p in people},
        others=[(p.id, p.name) for p in people if p.id != own and p.active],
        mail="email" in services.couriers.channels,
        preferences=await services.accounts.preferences(caller),
        channel_names=[(name, name) for name in ("email", *services.couriers.channels)],
        keys=await services.agents.list_keys(caller, person_id=_own_id(caller)),
        linked=_linked(request, services.couriers.channels),
        scopes=sorted(caller.scopes), changed="changed" in request.query_params,
        status=status_of(error) if error else 200,
    )  # fmt: skip


def _linked(request: Request, channels: Collection[str]) -> str:
    """Return the channel whose account was linked just now, or an empty text."""
    channel = request.query_params.get("linked", "")
    return channel if channel in channels else ""
