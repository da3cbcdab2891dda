"""SSH hosts: their settings, and the key that a person compares before it is pinned."""

from dataclasses import replace
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from app.core.checks import all_of
from app.core.errors import AssentryError, InvalidField
from app.core.principals import Caller
from app.core.ssh_action import SshHop
from app.core.ssh_target import SshSettings
from app.core.targets import TargetSettings
from app.web.dashboard.doors import Form, signed_in, to
from app.web.dashboard.target_form import SSH_NUMBERS
from app.web.dashboard.targets import show, show_one
from app.web.deps import services_of


def _settings(form: Form, base: TargetSettings) -> TargetSettings:
    """Return what the form says; what it does not know stays as it is in ``base``."""
    lines = {name: tuple(_lines(form, name)) for name in ("host_keys", "ca_keys")}
    all_of(*(partial(form.number, name, 0) for name in SSH_NUMBERS))
    words = {name: tuple(form.lines(name)) for name in ("hosts", "cidrs", "profiles")}
    ssh = SshSettings(
        **lines,
        **words,
        host=form["host"].strip().lower(),
        port=form.number("port", 22),
        user=form["user"].strip(),
        jumps=tuple(_hop(place, line) for place, line in enumerate(_lines(form, "jumps"))),
        seconds=form.number("seconds", 60),
        output_bytes=form.number("output_bytes", 1_048_576),
        file_bytes=form.number("file_bytes", 1_048_576),
        marker_dir=form["marker_dir"].strip(),
        wrap=form.ticked("wrap"),
        only_profiles=form.ticked("only_profiles"),
    )
    networks, rate = tuple(form.lines("networks")), form["rate"].strip()
    return replace(base, networks=networks, rate=rate, ssh=ssh)


def _lines(form: Form, name: str) -> list[str]:
    return [line.strip() for line in form[name].splitlines() if line.strip()]


def _hop(place: int, line: str) -> SshHop:
    """Return a host on the way, from a line such as ``jump@bastion:22 SHA256:...``.

    Several keys are separated by commas.
    """
    address, _, said = line.partition(" ")
    keys = tuple(key.strip() for key in said.split(",") if key.strip())
    user, _, rest = address.partition("@")
    host, _, port = rest.partition(":")
    if not host or not keys or (port and not port.isdecimal()):
        message = "write a host on the way as user@host:port, a blank and its key"
        raise InvalidField(message, pointer=f"/settings/ssh/jumps/{place}")
    return SshHop(host, int(port or 22), user, keys)


@signed_in
async def create(request: Request, caller: Caller) -> Response:
    """Add an SSH host."""
    form: Form = request.state.form
    try:
        target = await services_of(request).targets.create(
            caller, name=form["name"], description=form["description"],
            credential_id=form["credential_id"] or None, settings=_settings(form, TargetSettings()),
        )  # fmt: skip
    except AssentryError as error:
        return await show(request, caller, error, failed="ssh")
    return to(f"/targets/{target.id}")


@signed_in
async def update(request: Request, caller: Caller) -> Response:
    """Change an SSH host."""
    form: Form = request.state.form
    target_id = request.path_params["target_id"]
    targets = services_of(request).targets
    try:
        base = (await targets.get(caller, target_id)).settings
        await targets.update(
            caller, target_id, name=form["name"], description=form["description"],
            credential_id=form["credential_id"] or None, settings=_settings(form, base),
            enabled=form.ticked("enabled"),
        )  # fmt: skip
    except AssentryError as error:
        return await show_one(request, caller, error, typed=form)
    return to(f"/targets/{target_id}")


@signed_in
async def look(request: Request, caller: Caller) -> Response:
    """Show the key that the host has now."""
    form: Form = request.state.form
    keys = services_of(request).host_keys
    try:
        shown = await keys.look(caller, request.path_params["target_id"], form["host"].strip())
    except AssentryError as error:
        return await show_one(request, caller, error)
    return await show_one(request, caller, shown=shown)


@signed_in
async def enrol(request: Request, caller: Caller) -> Response:
    """Pin the key that a person has compared."""
    form: Form = request.state.form
    target_id = request.path_params["target_id"]
    keys = services_of(request).host_keys
    try:
        await keys.enrol(caller, target_id, form["key"], form["host"].strip())
    except AssentryError as error:
        return await show_one(request, caller, error)
    return to(f"/targets/{target_id}")
