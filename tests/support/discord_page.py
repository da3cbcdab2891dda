"""A page for people: guilds, channels, messages and modals, and forms that act."""

from collections.abc import Awaitable, Callable
from html import escape
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from tests.support.discord_actions import Actions
from tests.support.discord_markdown import render
from tests.support.discord_message import Message, walk
from tests.support.discord_people import JSON, Channel, User
from tests.support.discord_world import Modal

_CSS: Final = """
body{margin:0;font:15px/1.45 system-ui,sans-serif;color:#1d2129;background:#f4f5f7;display:flex}
nav{width:15rem;min-height:100vh;padding:1rem;background:#e6e8ec;box-sizing:border-box}
nav a{display:block;padding:.2rem .5rem;border-radius:.3rem;color:inherit;text-decoration:none}
nav a[aria-current]{background:#fff;font-weight:600}
main{flex:1;max-width:48rem;padding:1rem 2rem}
article,dialog{position:static;margin:.8rem 0;padding:.7rem 1rem;background:#fff;border:1px solid
#d5d8de;border-radius:.4rem}
.embed{border-left:4px solid #5b6472;padding:.2rem .8rem;margin:.5rem 0;background:#f8f9fa}
.text{white-space:pre-wrap;overflow-wrap:anywhere;margin:.2rem 0}
.text code{display:block;padding:.3rem .5rem;background:#e6e8ec;font-size:.9em}
.small{color:#5b6472;font-size:.85em} form{display:inline} dt{font-weight:600} dd{margin:0}
button{font:inherit;padding:.3rem .9rem;margin:.2rem;border:0;border-radius:.3rem;color:#fff;
background:#4752c4;cursor:pointer} button.s2{background:#5b6472} button.s3{background:#1c7a43}
button.s4{background:#b3262e} button:disabled{opacity:.45;cursor:default}
label{display:block;margin:.4rem 0} input,textarea{font:inherit;width:100%;box-sizing:border-box}
"""
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Cache-Control": "no-store",
}
_LINK: Final = 5
_BUTTON: Final = 2
_TEXT_DISPLAY: Final = 10
_PARAGRAPH: Final = 2


class Page:
    """Shows the vendor as one person sees it; everything works without JavaScript."""

    def __init__(self, actions: Actions) -> None:
        """Show and act through these."""
        self.actions = actions
        self.world = actions.world

    def add_to(self, app: web.Application) -> None:
        """Enter the page and what its forms post to."""
        app.router.add_get("/", self._show)
        for name, act in (
            ("press", self._press), ("submit", self._submit), ("command", self._command),
        ):  # fmt: skip
            app.router.add_post(f"/{name}", self._posting(act))

    def _posting(
        self, act: Callable[[User, dict[str, str]], Awaitable[None]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def post(request: web.Request) -> web.Response:
            if request.headers.get("Origin", f"http://{request.host}") != f"http://{request.host}":
                raise web.HTTPForbidden(text="This form was sent from elsewhere.")
            form = {name: str(value) for name, value in (await request.post()).items()}
            query = {name: form.get(name, "") for name in ("user", "channel")}
            try:
                await act(self.world.users[int(form["user"])], form)
            except (LookupError, ValueError) as error:
                query["said"] = str(error)
            return web.Response(status=303, headers={"Location": f"/?{urlencode(query)}"})

        return post

    async def _press(self, user: User, form: dict[str, str]) -> None:
        message = self.world.message(int(form["message"]))
        if message is None:
            raise LookupError("no such message")
        answer = await self.actions.press(message, form["custom_id"], user=user)
        _check(answer.late)

    async def _submit(self, user: User, form: dict[str, str]) -> None:
        opener = int(form["modal"])
        modal = next((one for one in self.world.modals if one.opened_by.id == opener), None)
        if modal is None:
            raise LookupError("the modal is closed")
        values = {name: form[f"value:{name}"] for name in modal.inputs if f"value:{name}" in form}
        answer = await self.actions.submit(modal, values, user=user)
        _check(answer.late)

    async def _command(self, user: User, form: dict[str, str]) -> None:
        pairs = ((name.partition(":"), value) for name, value in form.items() if value)
        options = {name: value for (kind, _, name), value in pairs if kind == "option"}
        channel = self.world.channels[int(form["channel"])]
        answer = await self.actions.command(form["name"], options, user=user, channel=channel)
        _check(answer.late)

    async def _show(self, request: web.Request) -> web.Response:
        user = _chosen(self.world.users, request.query.get("user", ""), self.world.anna)
        channels = {at.id: at for at in self.world.channels.values() if _sees(user, at)}
        first = next(iter(channels.values()), self.world.approvals)
        channel = _chosen(channels, request.query.get("channel", ""), first)
        said = request.query.get("said", "")
        body = f"{self._navigation(user, channel)}<main><h1>{escape(channel.name)}</h1>"
        body += f'<p role="alert">{escape(said)}</p>' if said else ""
        if channel.id in channels:
            body += self._content(user, channel)
        head = f"<title>{escape(channel.name)} – played Discord</title><style>{_CSS}</style>"
        page = f'<!doctype html><html lang="en"><meta charset="utf-8">{head}{body}</main></html>'
        return web.Response(text=page, content_type="text/html", headers=_HEADERS)

    def _navigation(self, user: User, channel: Channel) -> str:
        people = "".join(
            _link(one.name, one is user, user=one.id, channel=channel.id)
            for one in self.world.people
        )
        places = ""
        for guild in [*self.world.guilds.values(), None]:
            there = [x for x in self.world.channels.values() if x.guild is guild and _sees(user, x)]
            name = guild.name if guild else "Direct messages"
            places += f"<h2>{escape(name)}</h2>" if there else ""
            for at in there:
                label = f"# {at.name}" if guild else self.world.bot.name
                places += _link(label, at is channel, user=user.id, channel=at.id)
        again = _link("Refresh", current=False, user=user.id, channel=channel.id)
        return f"<nav><h2>You are</h2>{people}{places}<hr>{again}</nav>"

    def _content(self, user: User, channel: Channel) -> str:
        hidden = _hidden(user=user.id, channel=channel.id)
        shown = [
            _message(message, hidden)
            for message in self.world.messages
            if message.channel is channel and not message.deleted
            and message.only_for in {None, user}
        ]  # fmt: skip
        modals = [
            _modal(modal, hidden)
            for modal in self.world.modals
            if modal.user is user and modal.opened_by.channel is channel
        ]
        guild = channel.guild.id if channel.guild else None
        scopes = (None,) if guild is None else (guild, None)
        commands = [one for scope in scopes for one in self.world.commands.get(scope, [])]
        leaves = [leaf for one in commands for leaf in _leaves("", one)]
        forms = [_command(name, options, hidden) for name, options in leaves]
        return "".join([*shown, *modals, *forms]) or "<p>Nothing here yet.</p>"


def _check(late: bool) -> None:
    if late:
        raise ValueError("This interaction failed")


def _chosen(known: dict[int, Any], text: str, default: Any) -> Any:
    return known.get(int(text), default) if text.isdecimal() else default


def _sees(user: User, channel: Channel) -> bool:
    if channel.guild is None:
        return channel.recipient is user
    return user.id in channel.guild.members


def _link(label: str, current: bool, **query: object) -> str:
    mark = ' aria-current="page"' if current else ""
    return f'<a href="/?{escape(urlencode(query))}"{mark}>{escape(label)}</a>'


def _hidden(**fields: object) -> str:
    return "".join(
        f'<input type="hidden" name="{name}" value="{escape(str(value))}">'
        for name, value in fields.items()
    )


def _text(text: object) -> str:
    """Return a text as the clients show it; what should not be there is underlined."""
    if not text:
        return ""
    nodes = "".join(_node(node.kind, escape(node.text)) for node in render(str(text)))
    return f'<div class="text">{nodes}</div>'


def _node(kind: str, text: str) -> str:
    if kind == "text":
        return text
    tag = {"strong": "strong", "code": "code"}.get(kind, "u")
    return f"<{tag}>{text}</{tag}>"


def _message(message: Message, hidden: str) -> str:
    marks = ["only you can see this"] if message.ephemeral else []
    marks += ["edited"] if message.edited else []
    head = f"<strong>{escape(message.author.name)}</strong> "
    head += f'<span class="small">{escape(message.created[:19])} {" · ".join(marks)}</span>'
    body = "<p>is thinking…</p>" if message.loading else _text(message.content)
    body += "".join(_embed(embed) for embed in message.embeds)
    files = "".join(f"<div>📎 {escape(file.filename)}</div>" for file in message.attachments)
    parts = "".join(_component(part, message, hidden) for part in walk(message.components))
    return f'<article id="m{message.id}">{head}{body}{files}{parts}</article>'


def _embed(embed: JSON) -> str:
    pairs = "".join(
        f"<dt>{escape(pair['name'])}</dt><dd>{_text(pair['value'])}</dd>"
        for pair in embed.get("fields") or []
    )
    title = f"<strong>{escape(embed.get('title') or '')}</strong>"
    footer = f'<div class="small">{_text((embed.get("footer") or {}).get("text"))}</div>'
    description = _text(embed.get("description"))
    return f'<div class="embed">{title}{description}<dl>{pairs}</dl>{footer}</div>'


def _component(part: JSON, message: Message, hidden: str) -> str:
    if part.get("type") == _TEXT_DISPLAY:
        return _text(part.get("content"))
    if part.get("type") != _BUTTON:
        return ""
    label = escape(part.get("label") or (part.get("emoji") or {}).get("name") or "…")
    if part.get("style") == _LINK:
        url = str(part.get("url"))
        safe = url if url.startswith(("http://", "https://")) else "#"
        return f'<a href="{escape(safe)}" rel="noreferrer">{label}</a> '
    more = _hidden(message=message.id, custom_id=part["custom_id"])
    off = " disabled" if part.get("disabled") else ""
    button = f'<button class="s{int(part.get("style") or 1)}"{off}>{label}</button>'
    return f'<form method="post" action="/press">{hidden}{more}{button}</form>'


def _modal(modal: Modal, hidden: str) -> str:
    fields = ""
    labels = {
        inner.get("custom_id"): part.get("label")
        for part in walk(modal.components)
        for inner in [part.get("component") or part]
    }
    for name, part in modal.inputs.items():
        label, attributes = escape(labels.get(name) or name), f'name="value:{escape(name)}"'
        attributes += f' maxlength="{int(part.get("max_length") or 4000)}"'
        attributes += " required" if part.get("required", True) else ""
        value = escape(part.get("value") or "")
        if part.get("style") == _PARAGRAPH:
            entry = f"<textarea rows=3 {attributes}>{value}</textarea>"
        else:
            entry = f'<input {attributes} value="{value}">'
        fields += f"<label>{label}{entry}</label>"
    inner = f"{hidden}{_hidden(modal=modal.opened_by.id)}{fields}<button>Submit</button>"
    form = f'<form method="post" action="/submit">{inner}</form>'
    return f"<dialog open><h2>{escape(modal.title)}</h2>{form}</dialog>"


def _leaves(prefix: str, command: JSON) -> list[tuple[str, list[JSON]]]:
    name = f"{prefix} {command['name']}".strip()
    options: list[JSON] = command.get("options") or []
    inner = [option for option in options if option["type"] in {1, 2}]
    if inner:
        return [leaf for option in inner for leaf in _leaves(name, option)]
    return [(name, options)]


def _command(name: str, options: list[JSON], hidden: str) -> str:
    fields = "".join(
        f"<label>{escape(option['name'])}"
        f'<input name="option:{escape(option["name"])}"'
        f"{' required' if option.get('required') else ''}></label>"
        for option in options
    )
    button = f'<button class="s2">/{escape(name)}</button>'
    inner = f"{hidden}{_hidden(name=name)}{fields}{button}"
    return f'<form method="post" action="/command">{inner}</form>'
