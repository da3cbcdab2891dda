"""The REST interface, version 10: what an application calls."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from aiohttp import web

from tests.support.discord_answers import Answers
from tests.support.discord_faults import Call, Fault, News, bucket, read_body, reply
from tests.support.discord_gateway import Gateway
from tests.support.discord_limits import Refused, check_command
from tests.support.discord_messages import Messages
from tests.support.discord_people import JSON, Guild, User
from tests.support.discord_world import World

BASE: Final = "/api/v10"
Handler: TypeAlias = Callable[[Call], Awaitable[object]]
_NO_TOKEN: Final = ("/interactions/", "/webhooks/", "/gateway")


class Rest:
    """Answers calls.

    :ivar calls: every call that came, in order.
    :ivar faults: what goes wrong; the first that fits a call befalls it.
    """

    def __init__(self, world: World, gateway: Gateway, news: News) -> None:
        """Serve a world."""
        self.world = world
        self.gateway = gateway
        self.news = news
        self.messages = Messages(world, gateway)
        self.answers = Answers(self.messages)
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.set_endpoint: Callable[[str | None], Awaitable[None]] | None = None

    def add_to(self, app: web.Application) -> None:
        """Enter the routes."""
        for route, handler in self._routes().items():
            method, _, path = route.partition(" ")
            app.router.add_route(method, BASE + path, self._serving(route, handler))
        app.router.add_route("*", BASE + "/{path:.*}", self._serving("* /*", _unknown))

    def _routes(self) -> dict[str, Handler]:
        commands = "/applications/{application_id}/commands"
        guild_commands = "/applications/{application_id}/guilds/{guild_id}/commands"
        messages, message = "/channels/{channel_id}/messages", "/{message_id}"
        webhook = "/webhooks/{application_id}/{token}"
        return {
            "GET /users/@me": self._me,
            "GET /users/{user_id}": self._user,
            "POST /users/@me/channels": self._dm,
            "GET /users/@me/guilds": self._guilds,
            "GET /oauth2/applications/@me": self._application,
            "GET /applications/@me": self._application,
            "PATCH /applications/@me": self._edit_application,
            "GET /gateway": self._gateway,
            "GET /gateway/bot": self._gateway,
            f"GET {commands}": self._commands,
            f"PUT {commands}": self._put_commands,
            f"POST {commands}": self._post_command,
            f"GET {guild_commands}": self._commands,
            f"PUT {guild_commands}": self._put_commands,
            f"POST {guild_commands}": self._post_command,
            "GET /guilds/{guild_id}": self._guild,
            "GET /guilds/{guild_id}/channels": self._guild_channels,
            "GET /guilds/{guild_id}/roles": self._roles,
            "GET /guilds/{guild_id}/members": self._members,
            "GET /guilds/{guild_id}/members/{user_id}": self._member,
            "GET /channels/{channel_id}": self._channel,
            "POST /channels/{channel_id}/typing": self._typing,
            f"GET {messages}": self._listed,
            f"POST {messages}": self._post,
            f"GET {messages}{message}": self._read,
            f"PATCH {messages}{message}": self._edit,
            f"DELETE {messages}{message}": self._delete,
            "POST /interactions/{interaction_id}/{token}/callback": self._callback,
            f"POST {webhook}": self._follow,
            f"GET {webhook}/messages/{{message_id}}": self._answer,
            f"PATCH {webhook}/messages/{{message_id}}": self._edit_answer,
            f"DELETE {webhook}/messages/{{message_id}}": self._delete_answer,
        }

    def _serving(
        self, route: str, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            call = Call(
                route, request.path.removeprefix(BASE), dict(request.match_info),
                dict(request.query), dict(request.headers),
            )  # fmt: skip
            self.calls.append(call)
            try:
                return await self._serve(request, call, handler)
            finally:
                await self.news.tell()

        return serve

    async def _serve(
        self, request: web.Request, call: Call, handler: Handler
    ) -> web.StreamResponse:
        headers = bucket(call.route, self.world.snowflakes.clock.now() / 1e6)
        fault = next((fault for fault in self.faults if fault.befalls(call)), None)
        try:
            call.body, call.files = await read_body(request, self.world.snowflakes.new)
        except ValueError:
            error = Refused(400, 50109, "The request body contains invalid JSON.")
            return reply(400, error.json(), headers)
        if fault is not None:
            if fault.lost == "before":
                return _dropped(request)
            if fault.hang:
                await self.news.tell()
                await fault.release.wait()
            if (instead := fault.answer(headers)) is not None:
                call.status = instead.status
                return instead
        answer = await self._handled(call, handler, headers)
        return _dropped(request) if fault is not None and fault.lost == "after" else answer

    async def _handled(self, call: Call, handler: Handler, headers: dict[str, str]) -> web.Response:
        open_to_all = call.path.startswith(_NO_TOKEN) and call.path != "/gateway/bot"
        if not open_to_all and call.headers.get("Authorization") != f"Bot {self.world.token}":
            call.status = 401
            return reply(401, {"message": "401: Unauthorized", "code": 0}, headers)
        try:
            call.answer = await handler(call)
            call.status = 204 if call.answer is None else 200
        except Refused as error:
            call.status, call.answer = error.status, error.json()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            call.odd = repr(error)
            call.status, call.answer = 400, Refused(400, 50035, "Invalid Form Body").json()
        return reply(call.status, call.answer, headers)

    async def _me(self, _call: Call) -> object:
        return self.world.bot.json() | {"verified": True, "mfa_enabled": False, "email": None}

    async def _user(self, call: Call) -> object:
        return self._find_user(call.id("user_id")).json()

    async def _dm(self, call: Call) -> object:
        return self.world.dm(self._find_user(int(call.json.get("recipient_id") or 0))).json()

    async def _application(self, _call: Call) -> object:
        return self.world.application_json()

    async def _edit_application(self, call: Call) -> object:
        if self.set_endpoint is not None and "interactions_endpoint_url" in call.json:
            await self.set_endpoint(call.json["interactions_endpoint_url"])
        return self.world.application_json()

    async def _gateway(self, _call: Call) -> object:
        limit = {"total": 1000, "remaining": 999, "reset_after": 14_400_000, "max_concurrency": 1}
        return {"url": self.gateway.url, "shards": 1, "session_start_limit": limit}

    async def _commands(self, call: Call) -> object:
        return self.world.commands.get(self._scope(call), [])

    async def _put_commands(self, call: Call) -> object:
        scope = self._scope(call)
        for at, command in enumerate(call.body):
            check_command(command, f"{at}.")
        self.world.commands[scope] = [self._entered(one, scope) for one in call.body]
        return self.world.commands[scope]

    async def _post_command(self, call: Call) -> object:
        scope = self._scope(call)
        check_command(call.json)
        entered = self._entered(call.json, scope)
        others = self.world.commands.get(scope, [])
        rest = [one for one in others if one["name"] != entered["name"]]
        self.world.commands[scope] = [*rest, entered]
        return entered

    def _scope(self, call: Call) -> int | None:
        if call.id("application_id") != self.world.bot.id:
            raise Refused(403, 20012, "You are not authorized to perform this action")
        return self._find_guild(call.id("guild_id")).id if "guild_id" in call.ids else None

    def _entered(self, command: JSON, scope: int | None) -> JSON:
        known = [x for x in self.world.commands.get(scope, []) if x["name"] == command["name"]]
        identity = str(known[0]["id"] if known else self.world.snowflakes.new())
        defaults: JSON = {
            "type": 1,
            "description": "",
            "default_member_permissions": None,
            "nsfw": False,
            "contexts": None,
            "integration_types": [0],
        }
        fixed: JSON = {
            "id": identity,
            "application_id": str(self.world.bot.id),
            "version": str(self.world.snowflakes.new()),
        }
        return {**defaults, **command, **fixed} | (
            {} if scope is None else {"guild_id": str(scope)}
        )

    async def _guilds(self, _call: Call) -> object:
        return [{"id": str(at.id), "name": at.name} for at in self.world.bot_guilds()]

    async def _guild(self, call: Call) -> object:
        return self._find_guild(call.id("guild_id")).json()

    async def _guild_channels(self, call: Call) -> object:
        guild = self._find_guild(call.id("guild_id"))
        return [at.json() for at in self.world.channels.values() if at.guild is guild]

    async def _roles(self, call: Call) -> object:
        return self._find_guild(call.id("guild_id")).json()["roles"]

    async def _members(self, call: Call) -> object:
        guild = self._find_guild(call.id("guild_id"))
        return [guild.member_json(self.world.users[one]) for one in guild.members]

    async def _member(self, call: Call) -> object:
        guild = self._find_guild(call.id("guild_id"))
        user = self._find_user(call.id("user_id"))
        if user.id not in guild.members:
            raise Refused(404, 10007, "Unknown Member")
        return guild.member_json(user)

    def _find_user(self, user_id: int) -> User:
        user = self.world.users.get(user_id)
        if user is None:
            raise Refused(404, 10013, "Unknown User")
        return user

    def _find_guild(self, guild_id: int) -> Guild:
        guild = self.world.guilds.get(guild_id)
        if guild is None or guild not in self.world.bot_guilds():
            raise Refused(404, 10004, "Unknown Guild")
        return guild

    async def _channel(self, call: Call) -> object:
        return self.messages.channel(call.id("channel_id")).json()

    async def _typing(self, call: Call) -> object:
        self.messages.channel(call.id("channel_id"))
        return None

    async def _listed(self, call: Call) -> object:
        channel = self.messages.channel(call.id("channel_id"))
        before, after = int(call.query.get("before", 1 << 63)), int(call.query.get("after", 0))
        there = [
            message
            for message in self.world.messages
            if message.channel is channel and not message.deleted and not message.ephemeral
            and after < message.id < before
        ]  # fmt: skip
        limit = min(int(call.query.get("limit", 50)), 100)
        chosen = there[:limit] if after else there[-limit:]
        return [message.json() for message in reversed(chosen)]

    async def _post(self, call: Call) -> object:
        channel = self.messages.channel(call.id("channel_id"))
        return (await self.messages.post(channel, call.json, call.files)).json()

    async def _read(self, call: Call) -> object:
        return self.messages.find(call.id("channel_id"), call.id("message_id")).json()

    async def _edit(self, call: Call) -> object:
        message = self.messages.find(call.id("channel_id"), call.id("message_id"))
        return (await self.messages.edit(message, call.json, call.files)).json()

    async def _delete(self, call: Call) -> object:
        await self.messages.delete(self.messages.find(call.id("channel_id"), call.id("message_id")))

    async def _callback(self, call: Call) -> object:
        interaction = self.answers.pending(call.id("interaction_id"), call.ids["token"])
        await self.answers.take(interaction, call.json, call.files)
        if call.query.get("with_response", "").lower() in {"1", "true"}:
            return self.answers.callback_json(interaction)
        return None

    async def _follow(self, call: Call) -> object:
        interaction = self.answers.by_token(call.id("application_id"), call.ids["token"])
        return (await self.answers.follow(interaction, call.json, call.files)).json()

    async def _answer(self, call: Call) -> object:
        interaction = self.answers.by_token(call.id("application_id"), call.ids["token"])
        return self.answers.find(interaction, call.ids["message_id"]).json()

    async def _edit_answer(self, call: Call) -> object:
        interaction = self.answers.by_token(call.id("application_id"), call.ids["token"])
        message = self.answers.find(interaction, call.ids["message_id"])
        return (await self.messages.edit(message, call.json, call.files)).json()

    async def _delete_answer(self, call: Call) -> object:
        interaction = self.answers.by_token(call.id("application_id"), call.ids["token"])
        await self.messages.delete(self.answers.find(interaction, call.ids["message_id"]))


async def _unknown(_call: Call) -> Any:
    raise Refused(404, 0, "404: Not Found")


def _dropped(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
