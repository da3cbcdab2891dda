"""The Web API under ``/api/``: tokens, scopes, arguments, answers."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from aiohttp import web

from tests.support.slack_chat import Chat
from tests.support.slack_directory import Directory
from tests.support.slack_faults import Call, Fault, News, Refused
from tests.support.slack_people import JSON, Team
from tests.support.slack_views import Views
from tests.support.slack_world import World

Handler: TypeAlias = Callable[[Call], JSON]
_STRUCTURED: Final = ("blocks", "attachments", "view", "metadata")
_GONE: Final = 404


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the Web API.

    :ivar scopes: one of them is needed, if there are any.
    :ivar tokens: the beginnings of the tokens that it takes.
    """

    handler: Handler
    scopes: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ("xoxb-",)


class Api:
    """Answers calls.

    :ivar calls: every call that came, in order.
    :ivar faults: what goes wrong; the first that fits a call befalls it.
    :ivar connect: makes the WebSocket's address for a new connection.
    """

    def __init__(self, world: World, news: News) -> None:
        """Serve a world."""
        self.world = world
        self.news = news
        self.chat = Chat(world)
        self.views = Views(world)
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.connect: Callable[[], str] = str
        self.methods = self._methods(Directory(world))

    def add_to(self, app: web.Application) -> None:
        """Enter the routes."""
        app.router.add_route("*", "/api/{method}", self._serve_api)
        app.router.add_post("/actions/{rest:.+}", self._serve_hook)
        app.router.add_post("/commands/{rest:.+}", self._serve_hook)

    def _methods(self, directory: Directory) -> dict[str, Method]:
        chat, views, write, lists = self.chat, self.views, ("chat:write",), _LISTS
        return {
            "auth.test": Method(directory.auth, (), ("xoxb-", "xapp-")),
            "apps.connections.open": Method(self._connection, ("connections:write",), ("xapp-",)),
            "chat.postMessage": Method(chat.post, write),
            "chat.update": Method(chat.update, write),
            "chat.delete": Method(chat.delete, write),
            "chat.postEphemeral": Method(chat.whisper, write),
            "chat.getPermalink": Method(chat.permalink),
            "conversations.open": Method(directory.open, ("im:write",)),
            "conversations.info": Method(directory.channel, lists),
            "conversations.list": Method(directory.channels, lists),
            "conversations.members": Method(directory.members, lists),
            "conversations.history": Method(directory.history, _HISTORY),
            "conversations.join": Method(directory.join, ("channels:join",)),
            "team.info": Method(directory.team, ("team:read",)),
            "users.info": Method(directory.user, ("users:read",)),
            "users.lookupByEmail": Method(directory.by_email, ("users:read.email",)),
            "users.list": Method(directory.users, ("users:read",)),
            "views.open": Method(views.open),
            "views.push": Method(views.push),
            "views.update": Method(views.update),
            "views.publish": Method(views.publish),
        }

    def _connection(self, _call: Call) -> JSON:
        return {"ok": True, "url": self.connect()}

    async def _serve_api(self, request: web.Request) -> web.StreamResponse:
        return await self.serve(request, request.match_info["method"], self._answer)

    async def _serve_hook(self, request: web.Request) -> web.StreamResponse:
        return await self.serve(request, "response_url", self._respond)

    async def serve(
        self, request: web.Request, method: str, work: Callable[[Call], web.Response]
    ) -> web.StreamResponse:
        """Answer a call, unless a fault befalls it."""
        arguments = await read_arguments(request)
        call = Call(method, request.method, arguments, dict(request.headers))
        self.calls.append(call)
        if method == "response_url":
            arguments["path"] = request.path
        try:
            return await self._befallen(request, call, work)
        finally:
            await self.news.tell()

    async def _befallen(
        self, request: web.Request, call: Call, work: Callable[[Call], web.Response]
    ) -> web.StreamResponse:
        fault = next((fault for fault in self.faults if fault.befalls(call)), None)
        if fault is None:
            return work(call)
        real = work(call) if fault.after else None
        await self.news.tell()
        if fault.hang:
            await fault.lifted.wait()
        if fault.drop:
            call.status = 0
            return _hung_up(request)
        answer = fault.answer()
        if answer is None:
            return work(call) if real is None else real
        call.status = answer.status
        return answer

    def _answer(self, call: Call) -> web.Response:
        try:
            call.answer = self._checked(call)
        except Refused as error:
            call.answer = error.json()
        call.status = 200
        return web.json_response(call.answer, headers=self._headers(call))

    def _respond(self, call: Call) -> web.Response:
        try:
            call.answer, call.status = self.chat.respond(call), 200
        except Refused as error:
            call.answer, call.status = error.json(), _GONE
        return web.json_response(call.answer, status=call.status)

    def _checked(self, call: Call) -> JSON:
        method = self.methods.get(call.method)
        if method is None:
            raise Refused("unknown_method", req_method=call.method)
        token = _token(call)
        if not token:
            raise Refused("not_authed")
        call.team = self._bearer(token)
        if not token.startswith(method.tokens):
            raise Refused("not_allowed_token_type")
        has = self.world.app.app_scopes if call.team is None else call.team.scopes
        if method.scopes and not has & set(method.scopes):
            raise Refused("missing_scope", needed=_joined(method.scopes), provided=_joined(has))
        return method.handler(call)

    def _bearer(self, token: str) -> Team | None:
        """Return the team of a bot token, or None for the application's token."""
        if token == self.world.app.app_token:
            return None
        team = self.world.token_team(token)
        if team is None:
            raise Refused("invalid_auth")
        if team.token_error:
            raise Refused(team.token_error)
        return team

    def _headers(self, call: Call) -> dict[str, str]:
        has = self.world.app.app_scopes if call.team is None else call.team.scopes
        method = self.methods.get(call.method)
        accepted = _joined(method.scopes) if method else ""
        return {
            "X-OAuth-Scopes": _joined(has), "X-Accepted-OAuth-Scopes": accepted,
            "X-Slack-Req-Id": f"{len(self.calls):032}",
        }  # fmt: skip


_LISTS: Final = ("channels:read", "groups:read", "im:read", "mpim:read")
_HISTORY: Final = ("channels:history", "groups:history", "im:history", "mpim:history")


async def read_arguments(request: web.Request) -> JSON:
    """Return the arguments of a call: those of the query, and those of a form or a JSON body."""
    arguments: JSON = dict(request.query)
    if request.content_type == "application/json":
        body = _parsed(await request.text() or "{}")
        arguments |= body if isinstance(body, dict) else {}
    else:
        arguments |= {name: str(value) for name, value in (await request.post()).items()}
    for name in _STRUCTURED:
        if isinstance(arguments.get(name), str):
            arguments[name] = _parsed(arguments[name])
    return arguments


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _token(call: Call) -> str:
    scheme, _, token = call.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme == "Bearer" else call.text("token")


def _joined(scopes: Collection[str]) -> str:
    return ",".join(sorted(scopes))


def _hung_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
