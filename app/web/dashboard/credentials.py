"""Credentials: put in, replaced, removed, and let be used; never shown."""

from starlette.requests import Request
from starlette.responses import Response

from app.core.credentials import kind_named
from app.core.errors import AssentryError, InvalidField
from app.core.principals import Caller
from app.web.dashboard.doors import Form, signed_in, to
from app.web.dashboard.targets import show
from app.web.deps import services_of


def _fields(form: Form, kind: str) -> dict[str, str]:
    """Return a credential's fields from the form: fixed ones, or ``name: value`` lines."""
    wanted = kind_named(kind).fields
    if wanted:
        given = {field.name: form[f"field_{field.name}"] for field in wanted}
        return {name: value for name, value in given.items() if value}
    found: dict[str, str] = {}
    for line in form["pairs"].splitlines():
        name, colon, value = line.partition(":")
        if line.strip() and not colon:
            message = "write one `name: value` on each line"
            raise InvalidField(message, pointer="/pairs")
        if colon:
            found[name.strip()] = value.strip()
    return found


@signed_in
async def create(request: Request, caller: Caller) -> Response:
    """Add a credential."""
    form: Form = request.state.form
    try:
        await services_of(request).vault.create(
            caller, name=form["credential_name"], kind=form["kind"],
            fields=_fields(form, form["kind"]), description=form["credential_description"],
            domains=form.lines("domains"), public_fields=form.lines("public_fields"),
        )  # fmt: skip
    except AssentryError as error:
        return await show(request, caller, error, failed="credential")
    return to("/targets#credentials")


@signed_in
async def replace(request: Request, caller: Caller) -> Response:
    """Replace a credential's values."""
    form: Form = request.state.form
    services = services_of(request)
    credential_id = request.path_params["credential_id"]
    try:
        credential = await services.vault.get(caller, credential_id)
        fields = _fields(form, credential.kind)
        public = [name for name in credential.public_fields if name in fields]
        await services.vault.update(
            caller, credential_id, fields=fields, public_fields=public or None
        )
    except AssentryError as error:
        return await show(request, caller, error, failed="credential")
    return to("/targets#credentials")


@signed_in
async def delete(request: Request, caller: Caller) -> Response:
    """Remove a credential."""
    try:
        await services_of(request).vault.delete(caller, request.path_params["credential_id"])
    except AssentryError as error:
        return await show(request, caller, error, failed="credential")
    return to("/targets#credentials")
