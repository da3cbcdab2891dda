"""Webhooks and their delivery log, and how the channels do."""

from starlette.requests import Request
from starlette.responses import Response

from app.core.delivery import DeliveryState
from app.core.errors import InvalidFilter
from app.web.api.replies import nothing, reply
from app.web.bodies import read
from app.web.deps import caller_of, services_of
from app.web.filters import MAX_LIMIT, bare, number, once
from app.web.models import when
from app.web.models_notices import (
    AttemptList,
    AttemptOut,
    ChannelList,
    ChannelOut,
    DeliveryOut,
    DeliveryPage,
    NewWebhookOut,
    ResendIn,
    ResentOut,
    SecretOut,
    WebhookIn,
    WebhookList,
    WebhookOut,
    WebhookUpdateIn,
    webhook_fields,
)


async def index(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).webhooks.list(caller)
    return reply(WebhookList(items=[WebhookOut.of(item) for item in found]))


async def create(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, WebhookIn)
    made, secret = await services_of(request).webhooks.create(caller, body.value())
    answer = NewWebhookOut(**webhook_fields(made), secret=secret)
    return reply(answer, 201, {"Location": f"/api/webhooks/{made.id}"})


async def get(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).webhooks.get(caller, request.path_params["webhook_id"])
    return reply(WebhookOut.of(found))


async def update(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, WebhookUpdateIn)
    webhook_id = request.path_params["webhook_id"]
    after = await services_of(request).webhooks.update(caller, webhook_id, body.value())
    return reply(WebhookOut.of(after))


async def delete(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    await services_of(request).webhooks.delete(caller, request.path_params["webhook_id"])
    return nothing()


async def rotate(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    webhook_id = request.path_params["webhook_id"]
    return reply(SecretOut(secret=await services_of(request).webhooks.rotate(caller, webhook_id)))


async def deliveries(request: Request) -> Response:
    caller = await caller_of(request)
    given = once(request.query_params, ("state", "before", "limit"))
    limit = number(given, "limit", 50, 1, MAX_LIMIT)
    webhook_id = request.path_params["webhook_id"]
    found = await services_of(request).webhooks.deliveries(
        caller, webhook_id, _state(given.get("state")), given.get("before"), limit
    )
    last = found[-1].id if len(found) == limit else None
    return reply(DeliveryPage(items=[DeliveryOut.of(item) for item in found], next=last))


def _state(text: str | None) -> DeliveryState | None:
    try:
        return None if text is None else DeliveryState(text)
    except ValueError as error:
        message = f"state is one of {', '.join(DeliveryState)}"
        raise InvalidFilter(message, pointer="/state") from error


async def attempts(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).webhooks.attempts(
        caller, request.path_params["webhook_id"], request.path_params["delivery_id"]
    )
    return reply(AttemptList(items=[AttemptOut.of(item) for item in found]))


async def resend(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, ResendIn)
    count = await services_of(request).webhooks.resend(
        caller, request.path_params["webhook_id"], body.delivery_id
    )
    return reply(ResentOut(deliveries=count))


async def undelivered(request: Request) -> Response:
    caller = await caller_of(request)
    given = once(request.query_params, ("before", "limit"))
    limit = number(given, "limit", 50, 1, MAX_LIMIT)
    found = await services_of(request).couriers.undelivered(caller, given.get("before"), limit)
    last = found[-1].id if len(found) == limit else None
    return reply(DeliveryPage(items=[DeliveryOut.of(item) for item in found], next=last))


async def send_again(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    body = await read(request, ResendIn)
    count = await services_of(request).couriers.resend(caller, body.delivery_id)
    return reply(ResentOut(deliveries=count))


async def channels(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    found = await services_of(request).couriers.health(caller)
    items = [
        ChannelOut(
            name=item.channel, configured=known, states=item.states,
            oldest_due_at=when(item.oldest_due), last_delivered_at=when(item.last_delivered_at),
            last_error=item.last_error,
        )
        for item, known in found
    ]  # fmt: skip
    return reply(ChannelList(items=items))
