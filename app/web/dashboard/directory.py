"""Agents and keys, and people."""

from starlette.requests import Request
from starlette.responses import Response

from app.core.bucket import check_rate
from app.core.checks import all_of
from app.core.errors import AssentryError, Invalid, InvalidField
from app.core.principals import AGENT_SCOPES, PERSON_SCOPES, Caller, Permission, Role, Scope
from app.services.keys import check_name
from app.services.requests import RequestFilter
from app.web.dashboard.doors import (
    Form,
    carried,
    end_of,
    forgotten,
    signed_in,
    to,
    with_secret,
)
from app.web.dashboard.rendering import page
from app.web.deps import services_of
from app.web.problems import status_of

_PROFILES = "profiles="
LAST = 10
"""Requests that an agent's page lists."""


@signed_in
async def agents(request: Request, caller: Caller) -> Response:
    """Show all agents, with a form to add one."""
    return await _agents(request, caller)


async def _agents(request: Request, caller: Caller, error: AssentryError | None = None) -> Response:
    services = services_of(request)
    return page(
        request, "agents.html", caller=caller, agents=await services.agents.list(caller),
        people=await services.people.list(caller), admin=caller.may(Scope.ADMIN),
        form=request.state.form if error else Form(), error=error,
        status=status_of(error) if error else 200,
    )  # fmt: skip


@signed_in
async def create_agent(request: Request, caller: Caller) -> Response:
    """Add an agent."""
    form: Form = request.state.form
    try:
        agent = await services_of(request).agents.create(
            caller, name=form["name"], description=form["description"],
            owner_id=form["owner_id"] or None, open_limit=_open_limit(form),
            rate=form["rate"].strip(),
        )  # fmt: skip
    except AssentryError as error:
        return await _agents(request, caller, error)
    return to(f"/agents/{agent.id}")


def _open_limit(form: Form) -> int:
    """Return the number; where there is none, what else is wrong is told along with it."""
    try:
        return form.number("open_limit", 100)
    except Invalid:
        all_of(
            lambda: check_name(form["name"]), lambda: form.number("open_limit", 100),
            lambda: check_rate(form["rate"].strip(), "/rate"),
        )  # fmt: skip
        raise


@signed_in
async def agent(request: Request, caller: Caller) -> Response:
    """Show an agent and its keys."""
    return await _agent(request, caller)


async def _agent(
    request: Request,
    caller: Caller,
    error: AssentryError | None = None,
    *,
    failed: str = "",
) -> Response:
    services = services_of(request)
    agent_id = request.path_params["agent_id"]
    admin = caller.may(Scope.ADMIN)
    found = await services.agents.get(caller, agent_id)
    last = await services.requests.page(caller, RequestFilter(agent_id=agent_id), LAST)
    answer = page(
        request, "agent.html", caller=caller, agent=found, last=last.items,
        waiting=await services.requests.pending_of(caller, agent_id),
        keys=await services.agents.list_keys(caller, agent_id=agent_id) if admin else [],
        people=await services.people.list(caller), scopes=sorted(AGENT_SCOPES), admin=admin,
        secret=carried(request, caller), failed=failed, number=services.ids.new("key"),
        form=request.state.form if failed else Form(), error=error,
        status=status_of(error) if error else 200,
    )  # fmt: skip
    return forgotten(request, answer)


@signed_in
async def update_agent(request: Request, caller: Caller) -> Response:
    """Change, freeze or release an agent."""
    form: Form = request.state.form
    services = services_of(request)
    agent_id = request.path_params["agent_id"]
    try:
        if form["frozen"]:
            await services.agents.update(caller, agent_id, frozen=form["frozen"] == "yes")
        else:
            await services.agents.update(
                caller, agent_id, name=form["name"], description=form["description"],
                owner_id=form["owner_id"], open_limit=_open_limit(form),
                rate=form["rate"].strip(),
            )  # fmt: skip
    except AssentryError as error:
        return await _agent(request, caller, error, failed="agent")
    return to(f"/agents/{agent_id}")


@signed_in
async def create_key(request: Request, caller: Caller) -> Response:
    """Make a key and show it, this once."""
    form: Form = request.state.form
    services = services_of(request)
    now = services.clock.now()
    try:
        all_of(
            lambda: check_name(form["name"]), lambda: _permissions(form),
            lambda: form.number("rate_limit", 0), lambda: end_of(form, now),
        )  # fmt: skip
        _, secret = await services.agents.create_key(
            caller, name=form["name"], scopes=_scopes(form),
            agent_id=request.path_params["agent_id"], permissions=_permissions(form),
            networks=form.lines("networks"), rate_limit=form.number("rate_limit", 0) or None,
            expires_at=end_of(form, now), number=form["number"],
        )  # fmt: skip
    except AssentryError as error:
        return await _agent(request, caller, error, failed="key")
    return with_secret(request, caller, f"/agents/{request.path_params['agent_id']}", secret)


def _scopes(form: Form) -> list[str]:
    return [scope.value for scope in sorted(PERSON_SCOPES | AGENT_SCOPES) if form.ticked(scope)]


def _permissions(form: Form) -> list[Permission] | None:
    """Read lines such as ``github GET,HEAD /repos/**``; none means every target.

    A line that begins with ``!`` takes its calls out of what the others permit. A word such as
    ``profiles=readonly-safe,docker-readonly`` names profiles for commands there.
    """
    lines = [line.split() for line in form["permissions"].splitlines() if line.strip()]
    return [_permission(line) for line in lines] or None


def _permission(line: list[str]) -> Permission:
    given = [word.removeprefix(_PROFILES) for word in line if word.startswith(_PROFILES)]
    words = [word for word in line if not word.startswith(_PROFILES)]
    target, methods, *paths = [*words, "*"] if len(words) == 1 else words or ["", "*", "-"]
    if any(not path.startswith("/") for path in paths):
        message = "write a target, its methods and its paths, such as: github GET /repos/**"
        raise InvalidField(message, pointer="/permissions")
    return Permission(
        target.removeprefix("!"),
        () if methods == "*" else tuple(methods.upper().split(",")),
        tuple(paths),
        target.startswith("!"),
        tuple(name for word in given for name in word.split(",") if name),
    )


@signed_in
async def change_key(request: Request, caller: Caller) -> Response:
    """Revoke or rotate a key."""
    form: Form = request.state.form
    services = services_of(request)
    key_id = request.path_params["key_id"]
    try:
        if form["change"] == "revoke":
            await services.agents.revoke_key(caller, key_id)
            return to(f"/agents/{request.path_params['agent_id']}")
        grace = form.number("grace_minutes", 0) * 60
        fresh, secret = await services.agents.rotate_key(caller, key_id, grace)
    except AssentryError as error:
        return await _agent(request, caller, error)
    return with_secret(request, caller, f"/agents/{fresh.agent_id}", secret)


# --- people ---


@signed_in
async def people(request: Request, caller: Caller) -> Response:
    """Show all people, with a form to add one."""
    return await _people(request, caller)


async def _people(
    request: Request, caller: Caller, error: AssentryError | None = None, failed: str = ""
) -> Response:
    services = services_of(request)
    return page(
        request, "people.html", caller=caller, people=await services.people.list(caller),
        roles=list(Role), admin=caller.may(Scope.ADMIN),
        owner_may_decide=await services.people.owner_may_decide(),
        groups=await services.accounts.groups(caller),
        form=request.state.form if error else Form(), error=error, failed=failed,
        status=status_of(error) if error else 200,
    )  # fmt: skip


@signed_in
async def put_group(request: Request, caller: Caller) -> Response:
    """Make a group, or replace one with its members, or remove it."""
    form: Form = request.state.form
    accounts, people = services_of(request).accounts, await services_of(request).people.list(caller)
    group_id = request.path_params.get("group_id")
    try:
        if group_id and form["what"] == "delete":
            await accounts.drop_group(caller, group_id)
        else:
            members = [person.id for person in people if form.ticked(person.id)]
            await accounts.put_group(caller, group_id, form["name"], form["description"], members)
    except AssentryError as error:
        return await _people(request, caller, error, group_id or "group")
    return to("/people")


@signed_in
async def create_person(request: Request, caller: Caller) -> Response:
    """Add a person."""
    form: Form = request.state.form
    try:
        await services_of(request).people.create(
            caller, name=form["name"], email=form["email"], role=_role(form),
            password=form["password"], own_password=form["own_password"],
        )  # fmt: skip
    except AssentryError as error:
        return await _people(request, caller, error, "new")
    return to("/people")


def _role(form: Form) -> Role:
    try:
        return Role(form["role"])
    except ValueError as error:
        message = "choose a role"
        raise InvalidField(message, pointer="/role") from error


@signed_in
async def update_person(request: Request, caller: Caller) -> Response:
    """Change a person's role, or switch the account on or off."""
    form: Form = request.state.form
    active = {"yes": True, "no": False}.get(form["active"])
    try:
        await services_of(request).people.update(
            caller, request.path_params["person_id"], active=active,
            role=_role(form) if form["role"] else None,
        )  # fmt: skip
    except AssentryError as error:
        return await _people(request, caller, error)
    return to("/people")


@signed_in
async def set_owner(request: Request, caller: Caller) -> Response:
    """Say whether owners may decide their own agents' requests."""
    form: Form = request.state.form
    allowed = form.ticked("owner_may_decide")
    await services_of(request).people.set_owner_may_decide(caller, allowed)
    return to("/people")
