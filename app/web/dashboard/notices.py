"""How channels do, webhooks with their log, and one's own accounts, leave and preferences."""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from app.core.checks import all_of
from app.core.errors import AssentryError, BadCredentials, InvalidField, TooManySignIns
from app.core.instant import Instant, from_datetime
from app.core.principals import Caller, Scope
from app.core.subscriptions import EVENT_TYPES, Filters
from app.services.webhooks import FORMATS, Wanted
from app.web.dashboard.doors import Form, carried, forgotten, signed_in, to, with_secret
from app.web.dashboard.rendering import moment_of, page
from app.web.dashboard.sessions import show_account
from app.web.deps import services_of
from app.web.problems import status_of

LOGGED = 100


@signed_in
async def index(request: Request, caller: Caller) -> Response:
    """Show the channels and the webhooks."""
    return await _index(request, caller)


async def _index(request: Request, caller: Caller, error: AssentryError | None = None) -> Response:
    services = services_of(request)
    manages = caller.may(Scope.WEBHOOK_MANAGE)
    answer = page(
        request, "notices.html", caller=caller, channels=await services.couriers.health(caller),
        undelivered=await services.couriers.undelivered(caller), known=services.couriers.channels,
        people={one.id: one.name for one in await services.people.list(caller)},
        lanes=await services.backlog.lanes(caller),
        webhooks=await services.webhooks.list(caller) if manages else [], manages=manages,
        troubled=await services.webhooks.troubled(caller) if manages else {},
        events=EVENT_TYPES, formats=FORMATS, secret=carried(request, caller),
        form=request.state.form if error else Form(), error=error,
        status=status_of(error) if error else 200,
    )  # fmt: skip
    return forgotten(request, answer)


@signed_in
async def send_again(request: Request, caller: Caller) -> Response:
    """Send messages to people again that were given up."""
    form: Form = request.state.form
    await services_of(request).couriers.resend(caller, form["delivery"] or None)
    return to("/notices#undelivered")


@signed_in
async def create(request: Request, caller: Caller) -> Response:
    """Make a webhook and show its secret, this once."""
    form: Form = request.state.form
    wanted = Wanted(
        name=form["name"], url=form["url"].strip(), format=form["format"] or "standard",
        filters=Filters(tuple(name for name in EVENT_TYPES if form.ticked(name))),
        networks=form.lines("networks"),
    )  # fmt: skip
    try:
        _, secret = await services_of(request).webhooks.create(caller, wanted)
    except AssentryError as error:
        return await _index(request, caller, error)
    return with_secret(request, caller, "/notices", secret)


@signed_in
async def one(request: Request, caller: Caller) -> Response:
    """Show a webhook and what it was sent."""
    services, name = services_of(request), request.path_params["webhook_id"]
    of = request.query_params.get("tries")
    answer = page(
        request, "webhook.html", caller=caller, webhook=await services.webhooks.get(caller, name),
        deliveries=await services.webhooks.deliveries(caller, name, None, None, LOGGED),
        attempts=await services.webhooks.attempts(caller, name, of) if of else None,
        secret=carried(request, caller),
    )  # fmt: skip
    return forgotten(request, answer)


@signed_in
async def change(request: Request, caller: Caller) -> Response:
    """Switch a webhook, replace its secret, send again, or remove it."""
    form: Form = request.state.form
    webhooks, name = services_of(request).webhooks, request.path_params["webhook_id"]
    what = form["what"]
    if what == "rotate":
        fresh = await webhooks.rotate(caller, name)
        return with_secret(request, caller, f"/notices/webhooks/{name}", fresh)
    if what == "delete":
        await webhooks.delete(caller, name)
        return to("/notices")
    if what in ("on", "off"):
        await webhooks.update(caller, name, Wanted(enabled=what == "on"))
    elif what == "resend":
        await webhooks.resend(caller, name, form["delivery"] or None)
    return to(f"/notices/webhooks/{name}")


# --- one's own ---


@signed_in
async def offered(request: Request, caller: Caller) -> Response:
    """Ask whether an account in a channel is one's own."""
    return await _offered(request, caller)


async def _offered(
    request: Request, caller: Caller, error: AssentryError | None = None
) -> Response:
    secret = request.path_params["secret"]
    found = await services_of(request).accounts.offered(secret)
    return page(
        request, "link_account.html", caller=caller, found=found, secret=secret, error=error,
        status=status_of(error) if error else 200,
    )  # fmt: skip


@signed_in
async def accept(request: Request, caller: Caller) -> Response:
    """Link the account, once the password proves who asks for it."""
    form: Form = request.state.form
    accounts, secret = services_of(request).accounts, request.path_params["secret"]
    try:
        channel, *_ = await accounts.offered(secret)
        await accounts.accept(caller, secret, form["password"])
    except (BadCredentials, TooManySignIns) as error:
        return await _offered(request, caller, error)
    return to(f"/account?linked={quote(channel)}")


@signed_in
async def unlink(request: Request, caller: Caller) -> Response:
    """Unlink an account."""
    await services_of(request).accounts.unlink(caller, request.path_params["identity_id"])
    return to("/account")


@signed_in
async def delegate(request: Request, caller: Caller) -> Response:
    """Let somebody take one's place for a time."""
    form: Form = request.state.form
    try:
        all_of(lambda: _day(form, "starts"), lambda: _day(form, "ends"))
        await services_of(request).accounts.delegate(
            caller, delegate_id=form["delegate_id"], starts_at=_day(form, "starts"),
            ends_at=_day(form, "ends"), actions=form.lines("actions"), note=form["note"],
            password=form["password"],
        )  # fmt: skip
    except AssentryError as error:
        return await show_account(request, caller, error, "leave")
    return to("/account")


def _day(form: Form, name: str) -> Instant:
    try:
        return from_datetime(moment_of(form[name]))
    except ValueError as error:
        message = "a time is a date and an hour, in UTC"
        raise InvalidField(message, pointer=f"/{name}") from error


@signed_in
async def end_leave(request: Request, caller: Caller) -> Response:
    """End a delegation."""
    delegation_id = request.path_params["delegation_id"]
    await services_of(request).accounts.revoke_delegation(caller, delegation_id)
    return to("/account")


@signed_in
async def prefer(request: Request, caller: Caller) -> Response:
    """Set how one is told in a channel."""
    form: Form = request.state.form
    try:
        document = {
            "quiet_from": form["quiet_from"], "quiet_to": form["quiet_to"],
            "zone": form["zone"] or "UTC", "digest_seconds": form.number("digest_minutes", 0) * 60,
            "muted": form.ticked("muted"),
        }  # fmt: skip
        await services_of(request).accounts.prefer(caller, form["channel"], document)
    except AssentryError as error:
        return await show_account(request, caller, error, "prefer")
    return to("/account")
