"""The played Discord against the real discord.py: what a bot needs works, what is wrong fails."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import discord
import pytest
from discord import app_commands, ui
from discord.http import Route

from tests.support.discord_faults import Call
from tests.support.discord_message import LOADING
from tests.support.discord_people import User
from tests.support.discord_server import Discord, redirected

NOBODY = discord.AllowedMentions.none()


class Reason(ui.Modal, title="Why?"):
    text: ui.TextInput[Any] = ui.TextInput(label="Reason", custom_id="reason", max_length=50)

    async def on_submit(self, interaction: discord.Interaction[Any]) -> None:
        await interaction.response.edit_message(content=f"denied: {self.text.value}", view=None)


class Decide(ui.DynamicItem[ui.Button[Any]], template=r"gate:(?P<act>\w+):(?P<id>\d+)"):
    def __init__(self, act: str, number: str) -> None:
        super().__init__(ui.Button(label=act.title(), custom_id=f"gate:{act}:{number}"))
        self.act = act
        self.number = number

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> "Decide":
        return cls(match["act"], match["id"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        member = interaction.user
        roles = [role.name for role in member.roles] if isinstance(member, discord.Member) else []
        if self.act == "deny":
            await interaction.response.send_modal(Reason())
        elif self.act == "think":
            await interaction.response.defer(ephemeral=True, thinking=True)
            await interaction.followup.send("thought", ephemeral=True)
        elif self.act == "ignore":
            pass
        elif interaction.guild is not None and "security" not in roles:
            await interaction.response.send_message("not yours", ephemeral=True)
        else:
            await interaction.response.edit_message(content=f"done {self.number}", view=None)


class Bot(discord.Client):
    def __init__(self) -> None:
        super().__init__(intents=discord.Intents(guilds=True), guild_ready_timeout=0.01)
        self.tree = app_commands.CommandTree(self)

        @self.tree.command(name="assentry", description="Shows what waits")
        async def show(interaction: discord.Interaction[Any], which: str, number: int = 0) -> None:
            await interaction.response.send_message(f"{which} {number}", ephemeral=True)

        assert show

    async def setup_hook(self) -> None:
        self.add_dynamic_items(Decide)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Wait not the five seconds that discord.py waits before a second session."""

    def place(self, channel_id: int) -> discord.TextChannel:
        channel = self.get_channel(channel_id)
        assert isinstance(channel, discord.TextChannel)
        return channel


@asynccontextmanager
async def running(vendor: Discord) -> AsyncGenerator[Bot]:
    """Run a bot until the end."""
    async with asyncio.TaskGroup() as group, Bot() as bot:
        task = group.create_task(bot.start(vendor.world.token))
        await vendor.ready(1)
        await bot.wait_until_ready()
        yield bot
        await bot.close()
        await task


@pytest.fixture
async def bot(vendor: Discord) -> AsyncIterator[Bot]:
    async with running(vendor) as one:
        yield one


def buttons(*acts: str) -> ui.View:
    view = ui.View(timeout=None)
    for act in acts:
        view.add_item(Decide(act, "7"))
    return view


async def post(vendor: Discord, bot: Bot, *acts: str, content: str = "Please") -> discord.Message:
    channel = bot.place(vendor.world.approvals.id)
    embed = discord.Embed(title="Request 7", description="<b>Deploy</b>").add_field(
        name="Who", value="robot"
    )
    return await channel.send(
        content, embed=embed, view=buttons(*acts or ("approve", "deny")), allowed_mentions=NOBODY
    )


async def test_login_and_ready(vendor: Discord, bot: Bot) -> None:
    assert bot.user is not None and bot.user.id == vendor.world.bot.id
    assert {guild.name for guild in bot.guilds} == {"Acme", "Elsewhere"}
    (session,) = vendor.gateway.connected
    assert session.line is not None and session.line.compress == "zlib-stream"
    await vendor.wait_for(lambda: vendor.gateway.heartbeats)
    member = await bot.guilds[0].fetch_member(vendor.world.anna.id)
    assert [role.name for role in member.roles] == ["@everyone", "security"]
    with pytest.raises(discord.NotFound, match="10007"):
        await bot.guilds[0].fetch_member(vendor.world.mallory.id)


async def test_a_wrong_token_is_refused(vendor: Discord) -> None:
    async with Bot() as bot:
        with pytest.raises(discord.LoginFailure):
            await bot.login("wrong")


async def test_privileged_intents_are_refused(vendor: Discord) -> None:
    async with discord.Client(intents=discord.Intents.all()) as client:
        with pytest.raises(discord.PrivilegedIntentsRequired):
            await client.start(vendor.world.token)


async def test_a_button_is_pressed(vendor: Discord, bot: Bot) -> None:
    sent = await post(vendor, bot)
    message = vendor.world.last
    assert (message.id, message.buttons["Approve"]) == (sent.id, "gate:approve:7")
    assert "<b>Deploy</b>" in message.text
    refused = await vendor.press(message, "gate:approve:7", user=vendor.world.ben)
    assert (refused.response, refused.text, refused.ephemeral) == (4, "not yours", True)
    done = await vendor.press(message, "gate:approve:7", user=vendor.world.anna)
    assert (done.response, done.message, message.content) == (7, message, "done 7")
    assert message.buttons == {} and message.history[0]["content"] == "Please"


async def test_roles_are_those_of_the_moment(vendor: Discord, bot: Bot) -> None:
    await post(vendor, bot)
    world = vendor.world
    world.acme.join(world.anna)
    assert (await vendor.press(world.messages[0], "gate:approve:7", user=world.anna)).ephemeral
    world.acme.join(world.ben, world.security)
    done = await vendor.press(world.messages[0], "gate:approve:7", user=world.ben)
    assert done.text.startswith("done 7")


async def test_an_old_button_works_after_a_restart(vendor: Discord) -> None:
    async with running(vendor) as first:
        await post(vendor, first)
    await vendor.wait_for(lambda: not vendor.gateway.connected)
    async with running(vendor):
        done = await vendor.press(vendor.world.last, "gate:approve:7", user=vendor.world.anna)
    assert done.response == 7


async def test_what_nobody_can_press(vendor: Discord, bot: Bot) -> None:
    await post(vendor, bot)
    world = vendor.world
    message = world.last
    with pytest.raises(LookupError, match="no member"):
        await vendor.press(message, "gate:approve:7", user=world.mallory)
    with pytest.raises(LookupError, match="no component"):
        await vendor.press(message, "gate:other:7", user=world.anna)
    await vendor.press(message, "gate:approve:7", user=world.anna)
    with pytest.raises(LookupError, match="no component"):
        await vendor.press(message, "gate:approve:7", user=world.anna)
    again = await vendor.press(message, "gate:approve:7", user=world.anna, stale=True)
    assert again.response == 7


async def test_a_modal(vendor: Discord, bot: Bot) -> None:
    await post(vendor, bot)
    message = vendor.world.last
    opened = await vendor.press(message, "gate:deny:7", user=vendor.world.anna)
    assert opened.response == 9 and opened.modal is not None
    assert vendor.world.modals == [opened.modal] and opened.modal.title == "Why?"
    with pytest.raises(ValueError, match="reason needs 1"):
        await vendor.submit(opened.modal, {})
    with pytest.raises(ValueError, match="too long"):
        await vendor.submit(opened.modal, {"reason": "x" * 51})
    done = await vendor.submit(opened.modal, {"reason": "too late"})
    assert (done.response, message.content) == (7, "denied: too late")
    assert vendor.world.modals == []


async def test_thinking_and_filling_in(vendor: Discord, bot: Bot) -> None:
    await post(vendor, bot, "think")
    answer = await vendor.press(vendor.world.last, "gate:think:7", user=vendor.world.ben)
    assert answer.response == 5 and answer.message is not None and answer.ephemeral
    await vendor.wait_for(lambda: answer.text == "thought")
    assert answer.message.history[0]["flags"] & LOADING and not answer.message.loading


async def test_no_answer_in_time(vendor: Discord, bot: Bot) -> None:
    await post(vendor, bot, "ignore")
    vendor.deadline = 0.05
    answer = await vendor.press(vendor.world.last, "gate:ignore:7", user=vendor.world.ben)
    assert answer.late and answer.response is None
    url = f"{vendor.api_url}/interactions/{answer.id}/{answer.token}/callback"
    async with aiohttp.ClientSession() as session, session.post(url, json={"type": 6}) as late:
        assert (late.status, (await late.json())["code"]) == (404, 10062)


async def test_a_callback_with_and_without_response(vendor: Discord, bot: Bot) -> None:
    await post(vendor, bot, "ignore")
    press = asyncio.ensure_future(
        vendor.press(vendor.world.last, "gate:ignore:7", user=vendor.world.ben)
    )
    token = await vendor.wait_for(lambda: next(iter(vendor.world.interactions), None))
    waiting = vendor.world.interactions[str(token)]
    url = f"{vendor.api_url}/interactions/{waiting.id}/{token}/callback"
    body = {"type": 4, "data": {"content": "hello"}}
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json=body) as first:
            assert (first.status, await first.text()) == (204, "")
        async with session.post(f"{url}?with_response=true", json=body) as second:
            assert (second.status, (await second.json())["code"]) == (400, 40060)
    assert (await press).text == "hello"


async def test_commands_are_synced_and_called(vendor: Discord, bot: Bot) -> None:
    with pytest.raises(LookupError, match="not registered"):
        await vendor.command("assentry", user=vendor.world.ben)
    assert [one.name for one in await bot.tree.sync()] == ["assentry"]
    await bot.tree.sync(guild=bot.guilds[0])
    assert vendor.world.commands[None][0]["description"] == "Shows what waits"
    assert vendor.world.commands[vendor.world.acme.id] == []
    answer = await vendor.command("assentry", {"which": "all", "number": 3}, user=vendor.world.ben)
    assert (answer.text, answer.ephemeral, answer.response) == ("all 3", True, 4)
    with pytest.raises(ValueError, match="which"):
        await vendor.command("assentry", {}, user=vendor.world.ben)


async def test_ephemeral_messages_are_hidden(vendor: Discord, bot: Bot) -> None:
    await post(vendor, bot)
    answer = await vendor.press(vendor.world.last, "gate:approve:7", user=vendor.world.ben)
    assert answer.message is not None and answer.message.only_for is vendor.world.ben
    channel = bot.place(vendor.world.approvals.id)
    with pytest.raises(discord.NotFound, match="10008"):
        await channel.fetch_message(answer.message.id)
    assert [message.content async for message in channel.history()] == ["Please"]


async def test_edit_and_delete(vendor: Discord, bot: Bot) -> None:
    sent = await post(vendor, bot)
    await sent.edit(content="Better", view=None)
    message = vendor.world.last
    assert (message.content, message.edited is None, len(message.embeds)) == ("Better", False, 1)
    assert (await sent.fetch()).content == "Better"
    await sent.delete()
    assert message.deleted
    with pytest.raises(discord.NotFound, match="10008"):
        await sent.edit(content="too late")


async def test_direct_messages(vendor: Discord, bot: Bot) -> None:
    world = vendor.world

    async def write(user: User) -> None:
        person = await bot.fetch_user(user.id)
        await person.send("hello", view=buttons("approve"))

    await write(world.anna)
    assert world.last.channel.recipient is world.anna
    done = await vendor.press(world.last, "gate:approve:7", user=world.anna)
    assert done.text == "done 7" and "user" in done.payload and "guild_id" not in done.payload
    with pytest.raises(LookupError, match="conversation"):
        await vendor.press(world.last, "gate:approve:7", user=world.ben)
    world.ben.accepts_dms = False
    with pytest.raises(discord.Forbidden, match="50007"):
        await write(world.ben)
    world.elsewhere.leave(world.mallory)
    with pytest.raises(discord.Forbidden, match="50278"):
        await write(world.mallory)


async def test_a_channel_out_of_reach(vendor: Discord, bot: Bot) -> None:
    channel = bot.place(vendor.world.approvals.id)
    vendor.world.approvals.writable = False
    with pytest.raises(discord.Forbidden, match="50013"):
        await channel.send("x")
    vendor.world.approvals.visible = False
    with pytest.raises(discord.Forbidden, match="50001"):
        await channel.send("x")


@pytest.mark.parametrize(
    ("allowed", "pinged"),
    [
        (None, ["everyone", "here", "ANNA", "&ROLE"]),
        (NOBODY, []),
        (discord.AllowedMentions(everyone=False, roles=False, users=True), ["ANNA"]),
        (discord.AllowedMentions(everyone=True, roles=True, users=False),
         ["everyone", "here", "&ROLE"]),
    ],
)  # fmt: skip
async def test_allowed_mentions(
    vendor: Discord, bot: Bot, allowed: discord.AllowedMentions | None, pinged: list[str]
) -> None:
    world = vendor.world
    channel = bot.place(world.approvals.id)
    text = f"@everyone @here {world.anna.mention} <@&{world.security.id}>"
    if allowed is None:
        await channel.send(text)
    else:
        await channel.send(text, allowed_mentions=allowed)
    names = {str(world.anna.id): "ANNA", f"&{world.security.id}": "&ROLE"}
    assert [names.get(who, who) for who in world.last.pinged] == pinged


async def test_a_nonce_is_enforced(vendor: Discord, bot: Bot) -> None:
    channel = bot.place(vendor.world.approvals.id)
    first, second = [await channel.send("once", nonce=17) for _ in range(2)]
    assert first.id == second.id and len(vendor.world.messages) == 1


async def test_files(vendor: Discord, bot: Bot, tmp_path: Any) -> None:
    path = tmp_path / "full.txt"
    path.write_bytes(b"everything")
    await bot.place(vendor.world.approvals.id).send(file=discord.File(path))
    (file,) = vendor.world.last.attachments
    assert (file.filename, file.data) == ("full.txt", b"everything")


async def test_reconnects_after_op_7(vendor: Discord, bot: Bot) -> None:
    await post(vendor, bot)
    (session,) = vendor.gateway.connected
    await vendor.gateway.reconnect()
    await vendor.wait_for(lambda: session.resumes == 1 and session.line)
    done = await vendor.press(vendor.world.last, "gate:approve:7", user=vendor.world.anna)
    assert done.response == 7 and vendor.gateway.identifies == 1


async def test_a_press_while_away_is_delivered_on_resuming(vendor: Discord, bot: Bot) -> None:
    await post(vendor, bot)
    (session,) = vendor.gateway.connected
    vendor.gateway.drop()
    await vendor.wait_for(lambda: session.line is None)
    done = await vendor.press(vendor.world.last, "gate:approve:7", user=vendor.world.anna)
    assert (done.response, session.resumes) == (7, 1)


async def test_an_invalid_session_begins_anew(vendor: Discord, bot: Bot) -> None:
    await vendor.gateway.invalidate()
    await vendor.wait_for(lambda: vendor.gateway.identifies == 2)
    assert [one.id for one in vendor.gateway.connected] == ["session-2"]


async def test_two_clients_hear_the_same(vendor: Discord, bot: Bot) -> None:
    await post(vendor, bot)
    async with running(vendor):
        await vendor.ready(2)
        done = await vendor.press(vendor.world.last, "gate:approve:7", user=vendor.world.anna)
        callbacks = "POST /interactions/{interaction_id}/{token}/callback"

        def answered() -> list[int | None]:
            said = [call.status for call in vendor.calls if call.route == callbacks]
            return said if None not in said and len(said) == 2 else []

        assert sorted(await vendor.wait_for(answered), key=str) == [200, 400]
    assert done.response == 7


async def test_a_gateway_without_compression(vendor: Discord) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{vendor.gateway.url}?v=10&encoding=json") as socket,
    ):
        assert (await socket.receive_json())["op"] == 10
        await socket.send_json({"op": 1, "d": None})
        assert (await socket.receive_json())["op"] == 11
        await socket.send_json({"op": 6, "d": {"token": vendor.world.token, "session_id": "x"}})
        assert (await socket.receive_json()) == {"op": 9, "d": False, "s": None, "t": None}
        identify = {"token": vendor.world.token, "intents": 0}
        await socket.send_json({"op": 2, "d": identify})
        assert (await socket.receive_json())["t"] == "READY"
        await vendor.gateway.ask_heartbeat()
        assert (await socket.receive_json())["op"] == 1
        await socket.send_str("nonsense")
        await socket.receive()
        assert socket.close_code == 4002


SEND = "POST /channels/{channel_id}/messages"


async def test_rate_limits(vendor: Discord, bot: Bot) -> None:
    for scope in ("user", "global", "shared"):
        fault = vendor.fault(SEND, status=429, scope=scope)
        await post(vendor, bot)
        assert fault.hits == 1
    assert [call.status for call in vendor.calls if call.route == SEND] == [429, 200] * 3
    vendor.fault(SEND, status=429, scope="cloudflare")
    with pytest.raises(discord.HTTPException, match="429"):
        await post(vendor, bot)


async def test_trouble_on_request(vendor: Discord, bot: Bot) -> None:
    fault = vendor.fault(SEND, status=503, left=None)
    for _ in range(2):
        with pytest.raises(discord.DiscordServerError, match="503"):
            await post(vendor, bot)
    fault.lift()
    vendor.fault(SEND, lost="before")
    with pytest.raises(aiohttp.ClientError):
        await post(vendor, bot)
    assert vendor.world.messages == []
    vendor.fault(SEND, lost="after")
    with pytest.raises(aiohttp.ClientError):
        await post(vendor, bot)
    assert len(vendor.world.messages) == 1
    vendor.fault(SEND, text="{not json")
    with pytest.raises(ValueError):
        await post(vendor, bot)
    await post(vendor, bot)


async def test_a_call_that_hangs(vendor: Discord, bot: Bot) -> None:
    fault = vendor.fault(SEND, hang=True)
    sending = asyncio.ensure_future(post(vendor, bot))
    await vendor.wait_for(lambda: fault.hits)
    assert not sending.done()
    fault.lift()
    assert (await sending).content == "Please"


def embed(**parts: Any) -> dict[str, Any]:
    return {"embeds": [{"title": "t", **parts}]}


def row(*inner: dict[str, Any], rows: int = 1) -> dict[str, Any]:
    return {"content": "x", "components": [{"type": 1, "components": list(inner)}] * rows}


def button(**parts: Any) -> dict[str, Any]:
    return {"type": 2, "style": 1, "label": "l", "custom_id": "c", **parts}


PAIR = {"name": "n", "value": "v"}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"content": "x" * 2001}, "content"),
        (embed(title="x" * 257), "embeds.0.title"),
        (embed(description="x" * 4097), "embeds.0.description"),
        (embed(fields=[PAIR] * 26), "embeds.0.fields"),
        (embed(fields=[PAIR | {"name": "x" * 257}]), "embeds.0.fields.0.name"),
        (embed(fields=[PAIR | {"value": "x" * 1025}]), "embeds.0.fields.0.value"),
        (embed(footer={"text": "x" * 2049}), "embeds.0.footer.text"),
        ({"embeds": [{"description": "x" * 3001}] * 2}, "embeds"),
        ({"embeds": [{"title": "x"}] * 11}, "embeds"),
        (row(button(custom_id="x" * 101)), "components.0.components.0.custom_id"),
        (row(button(label="x" * 81)), "components.0.components.0.label"),
        (row(*[button(custom_id=str(n)) for n in range(6)]), "components.0.components"),
        (row(button(custom_id="same"), rows=2), "components"),
        (row(button(style=5, url="https://x.example", custom_id=None), rows=6), "components"),
        ({"flags": 1 << 15, "content": "x", "components": [{"type": 10, "content": "x"}]},
         "content"),
        ({"flags": 1 << 15, "components": [{"type": 10, "content": "x" * 4001}]}, "components"),
        ({"flags": 1 << 15, "components": [{"type": 10, "content": "x"}] * 41}, "components"),
        ({"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
         "allowed_mentions"),
    ],
)  # fmt: skip
async def test_limits(vendor: Discord, body: dict[str, Any], place: str) -> None:
    status, said = await raw(vendor, body)
    assert (status, said["code"], said["message"]) == (400, 50035, "Invalid Form Body")
    errors = said["errors"]
    for part in place.split("."):
        errors = errors[part]
    assert errors["_errors"][0]["code"]


async def test_what_is_just_within_the_limits(vendor: Discord) -> None:
    five = [button(custom_id=str(n)) for n in range(5)]
    wide = [
        {"type": 1, "components": [one | {"custom_id": f"{at}{one['custom_id']}"} for one in five]}
        for at in range(5)
    ]
    full: dict[str, Any] = {
        "title": "t" * 256,
        "description": "d" * 4096,
        "fields": [{"name": "n" * 30, "value": "v" * 30}] * 25,
        "footer": {"text": "f" * (6000 - 256 - 4096 - 25 * 60)},
    }
    status, said = await raw(vendor, {"content": "x" * 2000, "embeds": [full], "components": wide})
    assert status == 200 and said["embeds"][0]["type"] == "rich"
    assert (await raw(vendor, {"content": ""})) == (
        400,
        {"message": "Cannot send an empty message", "code": 50006},
    )


async def test_a_modal_beyond_the_limits_is_refused(vendor: Discord, bot: Bot) -> None:
    await post(vendor, bot, "ignore")
    press = asyncio.ensure_future(
        vendor.press(vendor.world.last, "gate:ignore:7", user=vendor.world.ben)
    )
    token = str(await vendor.wait_for(lambda: next(iter(vendor.world.interactions), None)))
    url = f"/interactions/{vendor.world.interactions[token].id}/{token}/callback"
    modal: dict[str, Any] = {"custom_id": "m", "title": "x" * 46, "components": []}
    status, said = await raw(vendor, {"type": 9, "data": modal}, url)
    assert status == 400 and set(said["errors"]["data"]) == {"title", "components"}
    status, _ = await raw(vendor, {"type": 6}, url)
    assert status == 204 and (await press).response == 6


async def raw(
    vendor: Discord, body: dict[str, Any], path: str | None = None
) -> tuple[int, dict[str, Any]]:
    """Post as the bot without discord.py, which has limits of its own."""
    url = vendor.api_url + (path or f"/channels/{vendor.world.approvals.id}/messages")
    headers = {"Authorization": f"Bot {vendor.world.token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url, json=body) as answer,
    ):
        if answer.status == 204:
            return 204, {}
        assert answer.headers["Content-Type"] == "application/json"
        return answer.status, await answer.json()


@pytest.mark.parametrize("body", [{"embeds": "x"}, {"content": "x", "components": ["x"]}])
async def test_bodies_of_another_shape_are_refused(vendor: Discord, body: dict[str, Any]) -> None:
    assert (await raw(vendor, body))[0] == 400
    assert "AttributeError" in vendor.calls[-1].odd


async def test_unknown_routes_are_seen(vendor: Discord) -> None:
    assert (await raw(vendor, {}, "/nowhere"))[0] == 404
    last: Call = vendor.calls[-1]
    assert (last.path, last.status) == ("/nowhere", 404)


async def test_the_redirection_ends(vendor: Discord) -> None:
    outer = Route.BASE
    async with Discord() as other:
        with redirected(other):
            assert other.api_url == Route.BASE
        assert outer == Route.BASE == vendor.api_url
