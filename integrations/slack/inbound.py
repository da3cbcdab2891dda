"""What people do in Slack comes to the desk: buttons, forms, `/assentry`, the home tab (CH-1)."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.adapter.starlette.async_handler import to_starlette_response
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.clock import SystemClock
from app.core.ports import Desk
from integrations.slack.client import SlackClient
from integrations.slack.doors import LARGEST, Signatures, parsed
from integrations.slack.listeners import Listeners
from integrations.slack.settings import SlackSettings
from integrations.slack.shape import VERIFICATION, check_shape
from integrations.slack.who import Members

PATH: Final = "/integrations/slack"
"""Where Slack posts; it stands in the application's manifest."""

log = structlog.get_logger()


class _Socket(AsyncSocketModeHandler):
    """Socket Mode with the look at application and shape that our own door has (T16)."""

    asked: Callable[[dict[str, Any]], AsyncBoltRequest | None]

    async def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:
        """Hand an envelope on, if it is for us; an odd one is acknowledged, or it comes again."""
        try:
            asked = self.asked(req.payload)
        except ValueError:
            log.warning("slack_envelope_refused", kind=req.type)
            await client.send_socket_mode_response(SocketModeResponse(envelope_id=req.envelope_id))
            return
        if asked is not None:
            await super().handle(client, req)


class SlackInbound:
    """The way in: one bolt application, behind HTTP or Socket Mode."""

    def __init__(
        self, settings: SlackSettings, client: SlackClient, desk: Desk, clock: SystemClock
    ) -> None:
        """Remember what it needs; the library's application is made in a running loop."""
        self._settings = settings
        self._app = settings.own_app
        self._client = client
        self._desk = desk
        self._listeners = Listeners(settings, client, desk, Members(client))
        self._signatures = Signatures(settings.signing_secret.get_secret_value(), clock)
        self._bolt: AsyncApp | None = None

    def routes(self) -> Sequence[Route]:
        """Return the door for Slack's posts; none in Socket Mode."""
        return () if self._settings.socket_mode else (Route(PATH, self._post, methods=["POST"]),)

    async def run(self) -> None:
        """Hold the WebSocket of Socket Mode until cancelled."""
        if not self._settings.socket_mode:
            return
        token = self._settings.app_token.get_secret_value()
        web = AsyncWebClient(token, base_url=self._settings.api_url)
        handler = _Socket(self._application(), token, web_client=web)
        handler.asked = self._asked
        try:
            await handler.connect_async()
            await asyncio.Event().wait()
        finally:
            await handler.close_async()

    async def _post(self, request: Request) -> Response:
        """Take one call; behind our own door the library gets what Socket Mode would give it."""
        headers = request.headers
        proof = (
            headers.getlist("X-Slack-Request-Timestamp"), headers.getlist("X-Slack-Signature"),
        )  # fmt: skip
        body = await _read(request) if self._signatures.may_be(*proof) else None
        if body is None or not self._signatures.admits(*proof, body):
            await self._desk.unproven("slack", request.client.host if request.client else "")
            return PlainTextResponse("this is not signed by Slack", 401)
        try:
            payload = parsed(body, headers.get("Content-Type", ""))
            asked = self._asked(payload)
        except ValueError:
            return PlainTextResponse("this is not what Slack sends", 400)
        if asked is None:
            return PlainTextResponse("this is not for this application", 401)
        return to_starlette_response(await self._application().async_dispatch(asked))

    def _asked(self, payload: dict[str, Any]) -> AsyncBoltRequest | None:
        """Return what the library is given; None when it is meant for another application.

        :raises ValueError: it does not have the shape of anything that Slack sends.
        """
        check_shape(payload)
        if payload.get("type") != VERIFICATION and payload.get("api_app_id") != self._app:
            log.warning("slack_other_application", ours=self._app)
            return None
        return AsyncBoltRequest(body=payload, mode="socket_mode")

    def _application(self) -> AsyncApp:
        if self._bolt is None:
            self._bolt = AsyncApp(
                client=self._client.web,
                request_verification_enabled=False, ssl_check_enabled=False,
            )  # fmt: skip
            self._listeners.add_to(self._bolt)
        return self._bolt


async def _read(request: Request) -> bytes | None:
    """Return the body; None when it is larger than Slack sends."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            return None
    return bytes(body)
