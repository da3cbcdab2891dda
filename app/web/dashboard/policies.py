"""Policies: the list, the editor, the versions and the dry run."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.core.action import BoundTarget, HttpAction, Submission, Urgency
from app.core.asking import build_action, facts_of
from app.core.errors import AssentryError, InvalidField, MalformedJson
from app.core.instant import Instant
from app.core.json_types import JsonObject, JsonValue
from app.core.paths import CALLS
from app.core.principals import Agent, Caller, Scope
from app.core.strict_json import parse_json
from app.services.access import require
from app.services.policies import PolicyRecord
from app.web.dashboard import policy_form
from app.web.dashboard.doors import Form, signed_in, to
from app.web.dashboard.rendering import page
from app.web.deps import services_of
from app.web.problems import status_of

STARTER = {
    "name": "a name",
    "description": "",
    "priority": 100,
    "enabled": True,
    "scope": {"actions": ["http.request"], "targets": ["name-of-a-target"]},
    "rules": [
        {
            "name": "reads",
            "effect": "allow",
            "match": {"http.method": {"in": ["GET", "HEAD"]}},
            "reason": "reading changes nothing",
        }
    ],
}
EFFECTS = [
    ("allow", "allow: it passes"),
    ("review", "review: a person decides"),
    ("deny", "deny: it is refused"),
]
SAMPLE = '{\n  "method": "GET",\n  "path": "/notes"\n}'


@signed_in
async def index(request: Request, caller: Caller) -> Response:
    """Show all policies in the order of evaluation."""
    records = await services_of(request).policies.list(caller)
    return page(
        request, "policies.html", caller=caller, records=records,
        editor=caller.may(Scope.POLICY_WRITE),
    )  # fmt: skip


@signed_in
async def new(request: Request, caller: Caller) -> Response:
    """Show an empty editor."""
    require(caller, Scope.POLICY_WRITE)
    fields = policy_form.read(policy_form.EMPTY)
    return await _editor(request, caller, json.dumps(STARTER, indent=2), fields=fields)


async def _editor(
    request: Request,
    caller: Caller,
    text: str,
    *,
    record: Any = None,
    fields: Form | None = None,
    error: AssentryError | None = None,
) -> Response:
    """Return the page of a policy.

    :param fields: of the plain form; None where the document is edited as JSON alone.
    """
    services = services_of(request)
    versions = [] if record is None else await services.policies.versions(caller, record.id)
    return page(
        request, "policy.html", caller=caller, record=record, text=text, versions=versions,
        fields=fields, effects=EFFECTS,
        editor=caller.may(Scope.POLICY_WRITE), error=error,
        warnings=[] if record is None else await services.reach.warnings(record),
        names={f"person:{one.id}": one.name for one in await services.people.list(caller)},
        status=status_of(error) if error else 200,
    )  # fmt: skip


def _parsed(text: str, pointer: str = "/document") -> Mapping[str, JsonValue]:
    value = parse_json(text.encode())
    if not isinstance(value, dict):
        message = "write a JSON object"
        raise MalformedJson(message, pointer=pointer)
    return value


@signed_in
async def create(request: Request, caller: Caller) -> Response:
    """Add a policy."""
    form: Form = request.state.form
    plain = "document" not in form
    text = json.dumps(STARTER, indent=2) if plain else form["document"]
    try:
        document = _plain(form, policy_form.EMPTY) if plain else _parsed(text)
        record = await services_of(request).policies.create(caller, document)
    except AssentryError as error:
        fields = form if plain else None
        return await _editor(request, caller, text, fields=fields, error=error)
    return to(f"/policies/{record.id}")


def _plain(form: Form, base: JsonObject) -> JsonObject:
    """Return the document that the plain form makes of the one before.

    :raises InvalidField: that has parts which the form does not know.
    """
    if policy_form.read(base) is None:
        message = "this policy says more than the plain form can; edit it as JSON"
        raise InvalidField(message)
    policy_form.check(form)
    return policy_form.write(form, base)


@signed_in
async def one(request: Request, caller: Caller) -> Response:
    """Show a policy in the editor."""
    record = await services_of(request).policies.get(caller, request.path_params["policy_id"])
    fields = policy_form.read(record.document)
    return await _editor(request, caller, _text(record), record=record, fields=fields)


def _text(record: PolicyRecord) -> str:
    return json.dumps(record.document, indent=2, ensure_ascii=False)


@signed_in
async def update(request: Request, caller: Caller) -> Response:
    """Change a policy."""
    form: Form = request.state.form
    services = services_of(request)
    record = await services.policies.get(caller, request.path_params["policy_id"])
    plain = "document" not in form
    text = _text(record) if plain else form["document"]
    try:
        document = _plain(form, record.document) if plain else _parsed(text)
        version = form.number("version", 0)
        await services.policies.update(caller, record.id, document, version=version)
    except AssentryError as error:
        fields = form if plain else None
        return await _editor(request, caller, text, record=record, fields=fields, error=error)
    return to(f"/policies/{record.id}")


@signed_in
async def switch(request: Request, caller: Caller) -> Response:
    """Switch a policy on or off."""
    form: Form = request.state.form
    await services_of(request).policies.set_enabled(
        caller, request.path_params["policy_id"], enabled=form["enabled"] == "yes"
    )
    return to("/policies")


@signed_in
async def delete(request: Request, caller: Caller) -> Response:
    """Remove a policy."""
    await services_of(request).policies.delete(caller, request.path_params["policy_id"])
    return to("/policies")


@signed_in
async def dry_run_form(request: Request, caller: Caller) -> Response:
    """Show the dry run's form."""
    targets = await services_of(request).targets.list(caller)
    first = {"target": targets[0].name} if targets else {}
    form = Form(action="http.request", params=SAMPLE, urgency="normal", **first)
    return await _dry_run(request, caller, form)


@signed_in
async def dry_run(request: Request, caller: Caller) -> Response:
    """Try the policies on a request; nothing is recorded or carried out."""
    form: Form = request.state.form
    try:
        explanation = await _explain(request, caller, form)
    except AssentryError as error:
        return await _dry_run(request, caller, form, error=error)
    return await _dry_run(request, caller, form, explanation=explanation)


async def _explain(request: Request, caller: Caller, form: Form) -> Any:
    if form["urgency"] not in list(Urgency):
        message = "choose an urgency"
        raise InvalidField(message, pointer="/urgency")
    params = _parsed(form["params"], "/params")
    action = build_action(form["action"].strip(), params, CALLS)
    if not form["target"] and isinstance(action, HttpAction):
        message = "http.request needs a target"
        raise InvalidField(message, pointer="/target")
    submission = Submission(
        agent_id="-",
        action=action,
        target=BoundTarget("-", form["target"], "", 0) if form["target"] else None,
        urgency=Urgency(form["urgency"]),
        reason=form["reason"],
        context={},
    )
    agent = Agent("-", form["agent"] or "an-agent", "", None, 0, False, Instant(0))  # noqa: FBT003
    facts = facts_of(submission, agent, Instant(0), None, {})
    policies = services_of(request).policies
    return (await policies.dry_run(caller, facts, key=form["key"].strip())).to_json()


async def _dry_run(
    request: Request,
    caller: Caller,
    form: Form,
    *,
    explanation: Any = None,
    error: AssentryError | None = None,
) -> Response:
    services = services_of(request)
    return page(
        request, "dry_run.html", caller=caller, form=form, explanation=explanation, error=error,
        targets=await services.targets.list(caller), agents=await services.agents.list(caller),
        urgencies=list(Urgency), status=status_of(error) if error else 200,
    )  # fmt: skip
