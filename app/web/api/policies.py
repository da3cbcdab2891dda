"""Policies: create, read, change, remove, versions, and the dry run."""

from starlette.requests import Request
from starlette.responses import Response

from app.core.action import BoundTarget, Submission, Urgency
from app.core.asking import build_action, facts_of
from app.core.errors import NotFound
from app.core.instant import Instant
from app.core.paths import CALLS
from app.core.policy import policy_json_schema
from app.core.principals import Agent
from app.services.policies import PolicyRecord
from app.web.api.replies import nothing, reply
from app.web.bodies import document, read
from app.web.deps import caller_of, remote_ip, services_of
from app.web.filters import bare
from app.web.models import (
    DryRunIn,
    JsonDict,
    PolicyList,
    PolicyOut,
    PolicyUpdateIn,
    VersionList,
    VersionOut,
    moment,
)


async def shown(request: Request, record: PolicyRecord) -> PolicyOut:
    """Return the answer for a policy."""
    names = ("id", "name", "version", "priority", "enabled", "document", "author")
    fields: JsonDict = {name: getattr(record, name) for name in names}
    return PolicyOut(
        **fields, created_at=moment(record.created_at), updated_at=moment(record.updated_at),
        warnings=await services_of(request).reach.warnings(record),
    )  # fmt: skip


async def index(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).policies.list(caller)
    return reply(PolicyList(items=[await shown(request, record) for record in found]))


async def create(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body, _ = await document(request)
    record = await services_of(request).policies.create(caller, body)
    return reply(await shown(request, record), 201, {"Location": f"/api/policies/{record.id}"})


async def get(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    policy_id = request.path_params["policy_id"]
    record = await services_of(request).policies.get(caller, policy_id)
    return reply(await shown(request, record))


async def update(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, PolicyUpdateIn)
    record = await services_of(request).policies.update(
        caller, request.path_params["policy_id"], body.document, version=body.version
    )
    return reply(await shown(request, record))


async def delete(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    await services_of(request).policies.delete(caller, request.path_params["policy_id"])
    return nothing()


async def versions(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).policies.versions(caller, request.path_params["policy_id"])
    return reply(
        VersionList(
            items=[
                VersionOut(version=version, author=author, created_at=moment(at))
                for version, author, at in found
            ]
        )
    )


async def version(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    text = request.path_params["version"]
    if not text.isdecimal() or len(text) > 9:  # noqa: PLR2004 - fits every database's integer
        message = "there is no such version"
        raise NotFound(message)
    found = await services_of(request).policies.version(
        caller, request.path_params["policy_id"], int(text)
    )
    return reply(found)


async def dry_run(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, DryRunIn)
    submission = Submission(
        agent_id="-",
        action=build_action(body.action, body.params, CALLS),
        target=None if body.target is None else BoundTarget("-", body.target, "", 0),
        urgency=Urgency(body.urgency),
        reason=body.reason,
        context=body.context,
    )
    agent = Agent("-", body.agent, "", None, 0, False, Instant(0))  # noqa: FBT003
    facts = facts_of(submission, agent, Instant(0), remote_ip(request), {})
    policies = services_of(request).policies
    explanation = await policies.dry_run(caller, facts, body.candidate, body.key or "")
    return reply(explanation.to_json())


async def schema(request: Request) -> Response:
    bare(request)
    await caller_of(request)
    return reply(policy_json_schema())
