"""Targets, and the page that they share with the credentials."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from app.core.calls import CallRule, read_rule
from app.core.checks import all_of
from app.core.credentials import KINDS
from app.core.errors import AssentryError, InvalidField
from app.core.host_keys import ShownKey
from app.core.paths import METHODS
from app.core.principals import Caller, Scope
from app.core.ssh_target import fingerprint
from app.core.targets import CredentialRule, Target, TargetSettings
from app.web.dashboard.doors import Form, signed_in, to
from app.web.dashboard.rendering import page
from app.web.dashboard.target_form import NUMBERS, SECONDS, blank, fields_of
from app.web.deps import services_of
from app.web.problems import status_of


@signed_in
async def index(request: Request, caller: Caller) -> Response:
    """Show targets and credentials, with forms to add one."""
    return await show(request, caller)


async def show(
    request: Request,
    caller: Caller,
    error: AssentryError | None = None,
    *,
    failed: str = "",
) -> Response:
    """Return the page of targets and credentials."""
    services = services_of(request)
    form: Form = request.state.form if error else Form()
    wanted = form["kind"] or request.query_params.get("kind", "")
    admin = caller.may(Scope.ADMIN)
    return page(
        request, "targets.html", caller=caller, targets=await services.targets.list(caller),
        credentials=await services.vault.list(caller) if admin else [], admin=admin,
        forms={**blank(), failed: form},
        kinds=KINDS, kind=KINDS.get(wanted), methods=sorted(METHODS), form=form, error=error,
        failed=failed, status=status_of(error) if error else 200,
    )  # fmt: skip


def _settings(form: Form, base: TargetSettings) -> TargetSettings:
    """Return what the form says; what it does not know stays as it is in ``base``."""
    all_of(
        *(partial(form.number, name, 0) for name in NUMBERS),
        *(partial(form.seconds, name, 0) for name in SECONDS),
        *(partial(_calls, form, name) for name in ("allow", "deny")),
    )
    return replace(
        base,
        networks=tuple(form.lines("networks")),
        methods=tuple(form.lines("methods")),
        total_seconds=form.seconds("total_seconds", 30),
        response_bytes=form.number("response_bytes", 1_048_576),
        retry_safe_methods=form.ticked("retry_safe_methods"),
        stream_seconds=form.seconds("stream_seconds", 300),
        idle_seconds=form.seconds("idle_seconds", 60),
        stream_bytes=form.number("stream_bytes", 1 << 30),
        request_bytes=form.number("request_bytes", 10_485_760),
        pass_cookies=form.ticked("pass_cookies"),
        rate=form["rate"].strip(),
        breaker_failures=form.number("breaker_failures", 20),
        breaker_window=form.number("breaker_window", 60),
        breaker_cool_down=form.number("breaker_cool_down", 30),
        breaker_probes=form.number("breaker_probes", 1),
        breaker_on_errors=form.ticked("breaker_on_errors"),
        allow=_calls(form, "allow"),
        deny=_calls(form, "deny"),
    )


def _calls(form: Form, name: str) -> tuple[CallRule, ...]:
    lines = filter(str.strip, form[name].splitlines())
    return tuple(read_rule(line, f"/settings/{name}") for line in lines)


async def _ids(request: Request, caller: Caller, form: Form) -> dict[str, str]:
    """Return the ids of the credentials by their names, where the form's rules name any."""
    if not form["rules"].strip():
        return {}
    return {item.name: item.id for item in await services_of(request).vault.list(caller)}


def _rules(form: Form, ids: Mapping[str, str]) -> tuple[CredentialRule, ...]:
    """Return the rules for credentials: one a line, with name, methods and paths."""
    lines = [words for line in form["rules"].splitlines() if (words := line.split())]
    found: list[CredentialRule] = []
    for name, *rest in lines:
        if name not in ids:
            message = f"there is no credential {name!r}: a line begins with the name of one"
            raise InvalidField(message, pointer=f"/credentials/{len(found)}/credential_id")
        methods = tuple(rest[0].split(",")) if rest and rest[0] != "*" else ()
        found.append(CredentialRule(ids[name], methods, tuple(rest[1:])))
    return tuple(found)


@signed_in
async def create(request: Request, caller: Caller) -> Response:
    """Add a target."""
    form: Form = request.state.form
    try:
        ids = await _ids(request, caller, form)
        all_of(lambda: _rules(form, ids), lambda: _settings(form, TargetSettings()))
        target = await services_of(request).targets.create(
            caller, name=form["name"], base_url=form["base_url"],
            description=form["description"], credential_id=form["credential_id"] or None,
            credentials=_rules(form, ids), guard=form.ticked("guard"),
            settings=_settings(form, TargetSettings()),
        )  # fmt: skip
    except AssentryError as error:
        return await show(request, caller, error, failed="target")
    return to(f"/targets/{target.id}")


@signed_in
async def one(request: Request, caller: Caller) -> Response:
    """Show a target."""
    return await show_one(request, caller)


async def show_one(
    request: Request,
    caller: Caller,
    error: AssentryError | None = None,
    *,
    shown: ShownKey | None = None,
    typed: Form | None = None,
) -> Response:
    """Return the page of a target.

    :param typed: what was written in the form of its settings and has a mistake.
    :param shown: the key that its host has now, to be compared.
    """
    services = services_of(request)
    target = await services.targets.get(caller, request.path_params["target_id"])
    admin = caller.may(Scope.ADMIN)
    credentials = await services.vault.list(caller) if admin else []
    names = {credential.id: credential.name for credential in credentials}
    return page(
        request, "target.html" if target.settings.ssh is None else "target_ssh.html",
        caller=caller, target=target, admin=admin, methods=sorted(METHODS), shown=shown,
        pins=_pins(target), credentials=credentials, form=typed or fields_of(target, names),
        breaker=services.breakers.of(target.id), may_close=caller.may(Scope.POLICY_WRITE),
        error=error, status=status_of(error) if error else 200,
    )  # fmt: skip


def _pins(target: Target) -> list[tuple[str, str]]:
    """Return the pinned keys as they are written, with the fingerprint of each."""
    ssh = target.settings.ssh
    lines = () if ssh is None else ssh.host_keys
    bare = [line.partition(" ")[2] if ssh and ssh.dynamic else line for line in lines]
    return [(line, fingerprint(key)) for line, key in zip(lines, bare, strict=True)]


@signed_in
async def update(request: Request, caller: Caller) -> Response:
    """Change a target."""
    form: Form = request.state.form
    target_id = request.path_params["target_id"]
    targets = services_of(request).targets
    try:
        base = (await targets.get(caller, target_id)).settings
        ids = await _ids(request, caller, form)
        all_of(lambda: _rules(form, ids), lambda: _settings(form, base))
        await targets.update(
            caller, target_id, name=form["name"], base_url=form["base_url"],
            description=form["description"], credential_id=form["credential_id"] or None,
            credentials=_rules(form, ids), settings=_settings(form, base),
            enabled=form.ticked("enabled"),
        )  # fmt: skip
    except AssentryError as error:
        return await show_one(request, caller, error, typed=form)
    return to(f"/targets/{target_id}")


@signed_in
async def close_breaker(request: Request, caller: Caller) -> Response:
    """Let calls pass at a target whose breaker is open."""
    target_id = request.path_params["target_id"]
    try:
        await services_of(request).breakers.close(caller, target_id)
    except AssentryError as error:
        return await show_one(request, caller, error)
    return to(f"/targets/{target_id}")


@signed_in
async def delete(request: Request, caller: Caller) -> Response:
    """Remove a target."""
    try:
        await services_of(request).targets.delete(caller, request.path_params["target_id"])
    except AssentryError as error:
        return await show_one(request, caller, error)
    return to("/targets")
