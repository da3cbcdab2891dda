"""A page for people: teams, channels, messages, modals and home tabs, and forms that act."""

from collections.abc import Awaitable, Callable
from html import escape
from typing import Final, TypeAlias
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiDict

from tests.support.slack_actions import Actions
from tests.support.slack_answer import Answer
from tests.support.slack_blocks import elements
from tests.support.slack_controls import hidden, read
from tests.support.slack_message import Message
from tests.support.slack_paint import CSS, Painter
from tests.support.slack_people import Channel, Team, User
from tests.support.slack_view import View

Form: TypeAlias = MultiDict[str]
_HOME: Final = "home"
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Cache-Control": "no-store",
}


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
            ("press", self._press), ("submit", self._submit), ("close", self._close),
            ("command", self._command), ("home", self._open_home),
        ):  # fmt: skip
            app.router.add_post(f"/{name}", self._posting(act))

    def _posting(
        self, act: Callable[[User, Form], Awaitable[Answer]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def post(request: web.Request) -> web.Response:
            if request.headers.get("Origin", f"http://{request.host}") != f"http://{request.host}":
                raise web.HTTPForbidden(text="This form was sent from elsewhere.")
            posted = await request.post()
            form = MultiDict((name, str(value)) for name, value in posted.items())
            query = {name: form.get(name, "") for name in ("user", "channel")}
            try:
                query["said"] = _said(await act(self._person(form["user"]), form))
            except (LookupError, ValueError) as error:
                query["said"] = str(error)
            return web.Response(status=303, headers={"Location": f"/?{urlencode(query)}"})

        return post

    async def _press(self, user: User, form: Form) -> Answer:
        where, action_id, block = self._where(form), form["action_id"], form.get("block", "")
        shown = where.blocks if isinstance(where, View) else where.content.all_blocks
        value = None
        for at, element in elements(shown):
            if (at["block_id"], element.get("action_id")) == (block, action_id):
                is_button = element["type"] == "button"
                value = None if is_button else read(element, form.getall("value", []))
        return await self.actions.press(where, action_id, user=user, value=value, block_id=block)

    async def _submit(self, user: User, form: Form) -> Answer:
        view = self._view(form)
        values = {
            block["block_id"]: read(element, form.getall(f"value:{block['block_id']}", []))
            for block, element in view.fields
        }
        return await self.actions.submit(view, values, user=user)

    async def _close(self, user: User, form: Form) -> Answer:
        view = self._view(form)
        if view.user is not user:
            raise LookupError("no such modal")
        return await self.actions.close(view)

    async def _command(self, user: User, form: Form) -> Answer:
        name, _, text = form["command"].strip().partition(" ")
        if not name.startswith("/"):
            raise ValueError("a command begins with /")
        place = self._channels(user).get(form["channel"])
        return await self.actions.command(name, text.strip(), user=user, channel=place)

    async def _open_home(self, user: User, _form: Form) -> Answer:
        return await self.actions.open_home(user)

    def _person(self, name: str) -> User:
        user = self.world.user(name)
        if user is None:
            raise LookupError("no such user")
        return user

    def _where(self, form: Form) -> Message | View:
        if "view" in form:
            return self._view(form)
        for team in self.world.teams.values():
            channel = team.channels.get(form["place"])
            message = channel and self.world.message(channel, form["message"])
            if message:
                return message
        raise LookupError("no such message")

    def _view(self, form: Form) -> View:
        homes = [home for team in self.world.teams.values() for home in team.homes.values()]
        for view in [*self.world.views, *homes]:
            if view.id == form["view"] and view.is_open:
                return view
        raise LookupError("no such view")

    def _channels(self, user: User) -> dict[str, Channel]:
        """Return what a user can look at, by id."""
        every = (one for team in self.world.teams.values() for one in team.channels.values())
        return {one.id: one for one in every if user in one.members}

    async def _show(self, request: web.Request) -> web.Response:
        user = self.world.user(request.query.get("user", "")) or self.world.anna
        places = self._channels(user)
        wanted = request.query.get("channel", "")
        place = _HOME if wanted == _HOME or not places else next(iter(places))
        place = wanted if wanted in places else place
        painter = Painter(self.world, user, hidden(user=user.id, channel=place))
        said = request.query.get("said", "")
        body = f'<p role="alert">{escape(said)}</p>' if said else ""
        body += self._modals(user, painter)
        body += (
            self._home(user, painter) if place == _HOME else _channel(places, place, painter, user)
        )
        title = "Home" if place == _HOME else _label(places[place])
        page = _whole(title, self._navigation(user, place, places) + _main(title, body))
        return web.Response(text=page, content_type="text/html", headers=_HEADERS)

    def _modals(self, user: User, painter: Painter) -> str:
        views = self.world.open_views(user)
        return painter.modal(views[-1], len(views) - 1) if views else ""

    def _home(self, user: User, painter: Painter) -> str:
        home = user.team.homes.get(user.id)
        shown = painter.home(home) if home else "<p>Nothing is published yet.</p>"
        button = "<button>Open</button>"
        return f'<form method="post" action="/home">{painter.fields}{button}</form>{shown}'

    def _navigation(self, user: User, place: str, places: dict[str, Channel]) -> str:
        people = "".join(_people(team, user, place) for team in self.world.teams.values())
        links = "".join(
            _link(_label(one), one.id == place, user=user.id, channel=one.id)
            for one in places.values()
        )
        home = _link("Home", place == _HOME, user=user.id, channel=_HOME)
        again = _link("Refresh", current=False, user=user.id, channel=place)
        here = f"<h2>{escape(user.team.name)}</h2>{links}<h2>Assentry</h2>{home}"
        return f"<nav>{people}{here}<hr>{again}</nav>"


def _people(team: Team, user: User, place: str) -> str:
    present = (one for one in team.users.values() if not (one.bot or one.deleted))
    links = (_link(one.name, one is user, user=one.id, channel=place) for one in present)
    return f"<h2>You are, at {escape(team.name)}</h2>{''.join(links)}"


def _channel(places: dict[str, Channel], place: str, painter: Painter, user: User) -> str:
    there = [one for one in places[place].messages if one.visible_to(user)]
    shown = "".join(painter.message(one) for one in there) or "<p>Nothing here yet.</p>"
    entry = '<input name="command" aria-label="Slash command" placeholder="/…" required>'
    send = f"{painter.fields}{entry}<button>Send</button>"
    return f'{shown}<form method="post" action="/command">{send}</form>'


def _said(answer: Answer) -> str:
    """Return what the person sees go wrong."""
    if answer.good or (answer.status == 0 and "does not want" in answer.error):
        return ""
    why = answer.error or f"status {answer.status}"
    return f"We had some trouble connecting. Try again? ({why})"


def _label(channel: Channel) -> str:
    return f"# {channel.name}" if channel.user is None else "Assentry (direct)"


def _link(label: str, current: bool, **query: object) -> str:
    mark = ' aria-current="page"' if current else ""
    return f'<a href="/?{escape(urlencode(query))}"{mark}>{escape(label)}</a>'


def _main(title: str, body: str) -> str:
    return f"<main><h1>{escape(title)}</h1>{body}</main>"


def _whole(title: str, body: str) -> str:
    head = f"<title>{escape(title)} – played Slack</title><style>{CSS}</style>"
    return f'<!doctype html><html lang="en"><meta charset="utf-8">{head}{body}</html>'
