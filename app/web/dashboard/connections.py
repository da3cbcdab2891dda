"""Connections of accounts at services, and the way to a service's page of consent and back.

The service sends the browser back by a GET, which shows a page only; the button on it posts the
code with the form's token, and that exchanges it. So a GET changes nothing here either, it works
without script, and a link made by somebody else cannot connect an account on its own: the state is
bound to the session that began (SameSite=Lax lets the session's cookie come along on the way back),
and the button needs that session's form token besides (T13).
"""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from app.core.errors import AssentryError, InvalidField
from app.core.oauth import ClientAuth, OAuthClient, OAuthEndpoints, OAuthKind
from app.core.principals import Caller, Scope
from app.services.connections import CameBack, ConnectFailed
from app.web.dashboard.doors import Form, signed_in, to
from app.web.dashboard.rendering import extras, page
from app.web.deps import services_of
from app.web.problems import status_of

KINDS = (
    (OAuthKind.OAUTH2, "oauth2: a person consents; renewed with a refresh token"),
    (OAuthKind.CLIENT_CREDENTIALS, "client_credentials: the client's own token"),
)
AUTHS = (
    (ClientAuth.BODY, "body: in the form"),
    (ClientAuth.BASIC, "basic: in the Authorization header"),
)


@signed_in
async def index(request: Request, caller: Caller) -> Response:
    """Show every connection, and a form to add one."""
    return await _index(request, caller)


async def _index(
    request: Request, caller: Caller, error: AssentryError | None = None, *, failed: str = ""
) -> Response:
    services = services_of(request)
    connections = services.connections
    form = request.state.form if error else Form()
    return page(
        request, "connections.html", caller=caller, items=await connections.list(caller),
        admin=caller.may(Scope.ADMIN), redirect_uri=connections.redirect_uri, kinds=KINDS,
        auths=AUTHS, form=form or _preset(request), presets=sorted(connections.presets),
        error=error, failed=failed, status=status_of(error) if error else 200,
    )  # fmt: skip


def _preset(request: Request) -> Form:
    """Return the form filled in with what is known of a service."""
    name = request.query_params.get("preset", "")
    urls = services_of(request).connections.presets.get(name)
    if urls is None:
        return Form(pkce="on")
    return Form(
        name=name, preset=name, authorize_url=urls.authorize_url, token_url=urls.token_url,
        revoke_url=urls.revoke_url, issuer=urls.issuer, scopes=" ".join(urls.scopes),
        client_auth=urls.client_auth, pkce="on" if urls.pkce else "",
        extra=extras(urls.extra),
    )  # fmt: skip


def _client(form: Form, kind: str) -> OAuthClient:
    try:
        chosen, auth = OAuthKind(kind), ClientAuth(form["client_auth"])
    except ValueError as error:
        message = "choose one of the kinds"
        raise InvalidField(message, pointer="/kind") from error
    urls = OAuthEndpoints(
        authorize_url=form["authorize_url"].strip(), token_url=form["token_url"].strip(),
        scopes=tuple(form.lines("scopes")), client_auth=auth, pkce=form.ticked("pkce"),
        extra=_extra(form["extra"]), revoke_url=form["revoke_url"].strip(),
        issuer=form["issuer"].strip(),
    )  # fmt: skip
    return OAuthClient(chosen, form["client_id"].strip(), urls, tuple(form.lines("networks")))


def _extra(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = line.partition(":")
        if not colon:
            message = "write one `name: value` on each line"
            raise InvalidField(message, pointer="/extra")
        found[name.strip()] = value.strip()
    return found


@signed_in
async def create(request: Request, caller: Caller) -> Response:
    """Add a connection."""
    form: Form = request.state.form
    try:
        made = await services_of(request).connections.create(
            caller, form["name"], _client(form, form["kind"]), form["client_secret"].strip()
        )
    except AssentryError as error:
        return await _index(request, caller, error, failed="new")
    return to(f"/connections#{made.credential_id}")


@signed_in
async def replace(request: Request, caller: Caller) -> Response:
    """Replace a connection's client and addresses."""
    form: Form = request.state.form
    credential_id = request.path_params["credential_id"]
    connections = services_of(request).connections
    try:
        found = await connections.get(caller, credential_id)
        client = _client(form, found.client.kind)
        await connections.replace(caller, credential_id, client, form["client_secret"].strip())
    except AssentryError as error:
        return await _index(request, caller, error, failed=credential_id)
    return to(f"/connections#{credential_id}")


@signed_in
async def connect(request: Request, caller: Caller) -> Response:
    """Show where one is about to go, and the way there: forms are not sent to other sites."""
    credential_id = request.path_params["credential_id"]
    try:
        begun = await services_of(request).connections.start(caller, credential_id)
    except AssentryError as error:
        return await _index(request, caller, error, failed=credential_id)
    return page(request, "connect.html", caller=caller, begun=begun)


@signed_in
async def disconnect(request: Request, caller: Caller) -> Response:
    """Forget a connection's tokens."""
    credential_id = request.path_params["credential_id"]
    await services_of(request).connections.disconnect(caller, credential_id)
    return to(f"/connections#{credential_id}")


@signed_in
async def came_back(request: Request, caller: Caller) -> Response:
    """Show what the service answered, with the button that takes it."""
    came = _came(request.query_params.get)
    error, found = None, None
    try:
        found = await services_of(request).connections.expected(caller, came.state)
        if came.error or not came.code:
            said = came.error or "no code"
            raise ConnectFailed(f"Not connected: the service answered {said[:64]}.")
    except AssentryError as problem:
        error = problem
    return page(
        request, "connect_finish.html", caller=caller, came=came, connection=found, error=error,
        status=status_of(error) if error else 200,
    )  # fmt: skip


@signed_in
async def finish(request: Request, caller: Caller) -> Response:
    """Exchange the code for tokens."""
    form: Form = request.state.form
    came = _came(form.get)
    try:
        made = await services_of(request).connections.finish(caller, came)
    except AssentryError as error:
        return page(
            request, "connect_finish.html", caller=caller, came=came, connection=None,
            error=error, status=status_of(error),
        )  # fmt: skip
    return to(f"/connections#{made.credential_id}")


def _came(get: Callable[[str], str | None]) -> CameBack:
    names = ("state", "code", "iss", "error")
    return CameBack(*(get(name) or "" for name in names))
