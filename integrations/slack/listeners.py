"""What happens on a press, a form, a command, an opened home tab."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse

from app.core.errors import AssentryError, AssuranceTooLow, NotLinked
from app.core.ports import Account, DeliveryFailed, Desk
from app.core.request import Choice
from integrations.slack import views
from integrations.slack.client import SlackClient
from integrations.slack.kit import OPEN, Block
from integrations.slack.paint import APPROVE, DENY, REASON, escaped, message
from integrations.slack.settings import SlackSettings
from integrations.slack.who import Members

T = TypeVar("T")
Ack = Callable[..., Awaitable[Any]]
Body = dict[str, Any]

_PROMPT: Final = 2.0
"""Seconds after which Slack is told that we have heard, whatever the desk does; it waits three."""

_LATE: Final = "Your decision is being counted. The message will show what came of it."
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Listeners:
    """Carries what people do to the desk, and its answer back to the one who did it."""

    settings: SlackSettings
    client: SlackClient
    desk: Desk
    members: Members

    def add_to(self, bolt: AsyncApp) -> None:
        """Register everything; the guard comes before all of it."""
        bolt.middleware(self.guard)
        bolt.action(APPROVE)(self.approve)
        bolt.action(DENY)(self.deny)
        bolt.action(REASON)(self.reason)
        bolt.action(OPEN)(self.opened)
        bolt.view(views.CALLBACK)(self.submitted)
        bolt.command(self.settings.command)(self.command)
        bolt.event("app_home_opened")(self.home)

    async def guard(self, body: Body, next: Callable[[], Awaitable[Any]]) -> Any:  # noqa: A002 - the library's name
        """Let through what is meant for our application (T16)."""
        if body.get("api_app_id") != self.settings.own_app:
            return BoltResponse(status=401, body="this is not for this application")
        return await next()

    # --- buttons ---

    async def approve(self, ack: Ack, body: Body) -> None:
        """Count an approval, or ask for the reason first where the policy wants one."""
        await self._press(ack, body, Choice.APPROVE)

    async def deny(self, ack: Ack, body: Body) -> None:
        """Count a denial."""
        await self._press(ack, body, Choice.DENY)

    async def reason(self, ack: Ack, body: Body) -> None:
        """Open the form for a denial with its reason."""
        await ack()
        await self._telling(body, self._ask(body, Choice.DENY))

    async def opened(self, ack: Ack) -> None:
        """Do nothing: the button leads to our page."""
        await ack()

    async def _press(self, ack: Ack, body: Body, choice: Choice) -> None:
        await _promptly(self._telling(body, self._pressed(body, choice)), ack)
        await ack()

    async def _pressed(self, body: Body, choice: Choice) -> str:
        account, token = await self._account(body), _token(body)
        card = await self.desk.card(account, token)
        if card.pending and card.reason_required:
            return await self._ask(body, choice)
        return (await self.desk.cast(account, token, choice)).text

    async def _ask(self, body: Body, choice: Choice) -> str:
        """Open the form; return why not, if not."""
        card = await self.desk.card(await self._account(body), _token(body))
        if not card.pending:
            return card.state
        view = views.form(card, choice)
        await self.client.call("views.open", trigger_id=body.get("trigger_id"), view=view)
        return ""

    # --- the form ---

    async def submitted(self, ack: Ack, body: Body) -> None:
        """Count what a form says; a refusal leaves it open and says why."""
        late: Body = {"response_action": "update", "view": views.said(_LATE)}
        answer = await _promptly(self._submitted(body), lambda: ack(**late))
        await ack(**answer)

    async def _submitted(self, body: Body) -> Body:
        view: Body = body.get("view") or {}
        try:
            form = views.Form.read(str(view.get("private_metadata")))
            account = await self._account(body)
            done = await self.desk.cast(account, form.token, form.choice, _comment(view))
        except AssuranceTooLow as error:
            return {"response_action": "update", "view": views.said(error.detail)}
        except AssentryError as error:
            return {"response_action": "errors", "errors": {views.COMMENT: error.detail}}
        except ValueError:
            error = {views.COMMENT: "This form is not one of ours."}
            return {"response_action": "errors", "errors": error}
        return {"response_action": "update", "view": views.said(done.text)}

    # --- command and home tab ---

    async def command(self, ack: Ack, body: Body) -> None:
        """Answer `/assentry`, `/assentry list` and `/assentry show <request>`."""
        blocks = await _promptly(self._command(body), ack)
        await ack(text="Assentry", blocks=blocks, response_type="ephemeral")

    async def _command(self, body: Body) -> list[Block]:
        word, _, rest = str(body.get("text", "")).strip().partition(" ")
        try:
            account = await self._account(body)
            if word in ("", "list", "inbox"):
                return views.listed(await self.desk.inbox(account))
            if word == "show" and rest.strip():
                return message(await self.desk.show(account, rest.strip())).blocks
        except AssentryError as error:
            return views.note(error.detail, _url(error))
        name = self.settings.command
        return views.note(f"{name} list: what waits for you. {name} show <request>: one of them.")

    async def home(self, event: Body, body: Body) -> None:
        """Show what waits for the one who opened the tab."""
        if event.get("tab", "home") != "home":
            return
        user, team = str(event.get("user")), str(body.get("team_id"))
        account = Account("slack", f"{team}:{user}")
        try:
            account = await self._member(account)
            view = views.home(views.listed(await self.desk.inbox(account)))
        except AssentryError as error:
            view = views.home(views.note(error.detail, _url(error)))
        await self.client.call("views.publish", user_id=user, view=view)

    # --- who, and the answer ---

    async def _account(self, body: Body) -> Account:
        """Return who did it, as Slack's signature vouches for; other people's are turned away."""
        user: Body = body.get("user") or {}
        name = str(user.get("id") or body.get("user_id"))
        team = str(user.get("team_id") or ("" if user else body.get("team_id")))
        return await self._member(Account("slack", f"{team}:{name}"))

    async def _member(self, account: Account) -> Account:
        """Return an account with its name; others than members are turned away."""
        try:
            return Account("slack", account.id, await self.members.name(account))
        except AssentryError as error:
            await self.desk.turned_away(account, error)
            raise

    async def _telling(self, body: Body, work: Awaitable[str]) -> None:
        """Do something, and tell the one who pressed what came of it, and nobody else."""
        try:
            text, url = await work, ""
        except AssentryError as error:
            text, url = error.detail, _url(error)
        except DeliveryFailed as failure:
            text, url = f"That did not work: {failure.detail}. Press again.", ""
        if text:
            await self._whisper(body, views.note(text, url), text)

    async def _whisper(self, body: Body, blocks: Sequence[Block], text: str) -> None:
        container: Body = body.get("container") or {}
        user: Body = body.get("user") or {}
        if not container.get("channel_id"):
            return
        try:
            await self.client.call(
                "chat.postEphemeral", channel=container["channel_id"], user=user.get("id"),
                text=escaped(text), blocks=list(blocks), parse="none", link_names=False,
            )  # fmt: skip
        except DeliveryFailed as failure:
            log.warning("whisper_failed", channel="slack", detail=failure.detail)


async def _promptly(work: Coroutine[Any, Any, T], hear: Callable[[], Awaitable[Any]]) -> T:
    """Do something to its end; when it takes long, say meanwhile that it was heard."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        await asyncio.wait({task}, timeout=_PROMPT)
        if not task.done():
            await hear()
    return task.result()


def _token(body: Body) -> str:
    actions: list[Body] = body.get("actions") or [{}]
    return str(actions[0].get("value", ""))


def _comment(view: Body) -> str:
    values: Body = (view.get("state") or {}).get("values") or {}
    field: Body = (values.get(views.COMMENT) or {}).get(views.COMMENT) or {}
    return str(field.get("value") or "")


def _url(error: AssentryError) -> str:
    return str(error.extra.get("url", "")) if isinstance(error, NotLinked) else ""
