"""Adding a service from its preset."""

from starlette.requests import Request
from starlette.responses import Response

from app.core.errors import AssentryError
from app.core.principals import Caller, Scope
from app.services.access import require
from app.services.presets import Wanted
from app.web.dashboard.doors import Form, signed_in, to
from app.web.dashboard.rendering import page
from app.web.deps import services_of
from app.web.problems import status_of


@signed_in
async def index(request: Request, caller: Caller) -> Response:
    """Show the services to choose from."""
    require(caller, Scope.ADMIN)
    found = services_of(request).presets.list(caller)
    return page(request, "services.html", caller=caller, presets=found)


@signed_in
async def one(request: Request, caller: Caller) -> Response:
    """Show the form of a service."""
    require(caller, Scope.ADMIN)
    return _one(request, caller)


def _one(request: Request, caller: Caller, error: AssentryError | None = None) -> Response:
    services = services_of(request)
    preset = services.presets.get(caller, request.path_params["preset"])
    return page(
        request, "service.html", caller=caller, preset=preset, error=error,
        redirect_uri=services.connections.redirect_uri,
        form=request.state.form if error else Form(), status=status_of(error) if error else 200,
    )  # fmt: skip


@signed_in
async def create(request: Request, caller: Caller) -> Response:
    """Add a service."""
    form: Form = request.state.form
    services = services_of(request)
    try:
        preset = services.presets.get(caller, request.path_params["preset"])
        given = {name: form[f"field_{name}"].strip() for name in preset.credential.fields}
        wanted = Wanted(
            preset.name,
            form["account"].strip(),
            form["base_url"].strip(),
            fields={name: value for name, value in given.items() if value},
            client_id=form["client_id"].strip(),
            client_secret=form["client_secret"].strip(),
        )
        target = await services.presets.apply(caller, wanted)
    except AssentryError as error:
        return _one(request, caller, error)
    return to(
        f"/connections#{target.credential_id}" if wanted.client_id else f"/targets/{target.id}"
    )
