"""Set-up, sign-in, sign-out and one's own account."""

from collections.abc import Collection
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response

from app.core.errors import AssentryError, SetupClosed, Unauthenticated
from app.core.principals import Caller
from app.services.setup import SetupLinkReplaced
from app.web.dashboard.doors import (
    Form,
    carried,
    end_of,
    forgotten,
    form_of,
    local,
    opened,
    signed_in,
    to,
    with_secret,
    with_session,
)
from app.web.dashboard.rendering import page
from app.web.deps import check_origin, cookie_name, remote_ip, services_of, session_of
from app.web.problems import status_of


@opened
async def setup(request: Request) -> Response:
    """Show the set-up form, once."""
    form = Form(token=request.query_params.get("token", ""))
    try:
        await services_of(request).people.check_setup(form["token"])
    except SetupClosed:
        return to("/sign-in")
    except SetupLinkReplaced as error:
        return _replaced(request, error if form["token"] else None)
    return page(request, "setup.html", form=form)


def _replaced(request: Request, error: AssentryError | None) -> Response:
    """Return the page without its form, which nobody fills in for a link that is of no use."""
    return page(
        request, "setup.html", form=Form(), error=error, status=status_of(error) if error else 200
    )


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
    except (SetupClosed, SetupLinkReplaced) as error:
        return _replaced(request, error)
    except AssentryError as error:
        return page(request, "setup.html", form=form, error=error, status=status_of(error))
    return with_session(request, to("/"), token)


@opened
async def sign_in_form(request: Request) -> Response:
    """Show the sign-in form; to who is signed in only where a newer sign-in is asked for."""
    if await services_of(request).people.setup_open():
        return to("/setup")
    form = Form(next=local(request.query_params.get("next", "/")))
    if request.query_params.get("again") != "yes":
        with suppress(Unauthenticated):
            await session_of(request)
            return to(form["next"])
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
    return await show_account(request, caller)


@signed_in
async def change_password(request: Request, caller: Caller) -> Response:
    """Change one's own password."""
    form: Form = request.state.form
    try:
        await services_of(request).people.change_password(
            caller, form["old"], form["new"], end_keys=form.ticked("end_keys")
        )
    except AssentryError as error:
        return await show_account(request, caller, error, "password")
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
            number=form["number"],
        )  # fmt: skip
    except AssentryError as error:
        return await show_account(request, caller, error, "key")
    return with_secret(request, caller, "/account", secret)


@signed_in
async def revoke_key(request: Request, caller: Caller) -> Response:
    """End a key of one's own."""
    await services_of(request).agents.revoke_key(caller, request.path_params["key_id"])
    return to("/account")


def _own_id(caller: Caller) -> str:
    return caller.person.id if caller.person else ""


async def show_account(
    request: Request, caller: Caller, error: AssentryError | None = None, failed: str = ""
) -> Response:
    """Return one's own account.

    :param failed: the form that holds a mistake: ``password``, ``key``, ``leave`` or ``prefer``.
    """
    services = services_of(request)
    sessions = await services.people.sessions(caller)
    people = await services.people.list(caller)
    own = _own_id(caller)
    answer = page(
        request, "account.html", caller=caller, sessions=sessions, error=error, failed=failed,
        form=request.state.form if failed else Form(), blank=Form(),
        secret=carried(request, caller), number=services.ids.new("key"),
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
    return forgotten(request, answer)


def _linked(request: Request, channels: Collection[str]) -> str:
    """Return the channel whose account was linked just now, or an empty text."""
    channel = request.query_params.get("linked", "")
    return channel if channel in channels else ""
