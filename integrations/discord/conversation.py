"""What people do in Discord comes to the desk, and what it says goes back (CH-2).

Discord waits three seconds for a first answer, so a ballot is acknowledged before the desk is
asked; only a form must be the first answer itself, and does not wait for the desk long.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from app.core.errors import AccountRefused, AssentryError, Conflict, NotLinked
from app.core.ports import DeliveryFailed, Desk
from integrations.discord.acts import Act, read_act
from integrations.discord.event import COMMAND, FORM, PRESS, Event
from integrations.discord.markdown import escaped
from integrations.discord.members import Members
from integrations.discord.paint import inbox_message, message
from integrations.discord.reply import REASON, Reply
from integrations.discord.rest import Rest

PATIENCE: Final = 1.5
"""Seconds that a form waits for the desk; of Discord's three, the rest is the way there."""

_BROKEN: Final = (
    "Something went wrong here. Open the request's page to see whether you are counted."
)
_STRANGE: Final = "This is not known here; the message may be too old. Open the request's page."
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Conversation:
    """Answers events; decides nothing itself."""

    desk: Desk
    rest: Rest
    members: Members

    async def hear(self, event: Event) -> None:
        """Answer an event, come what may."""
        reply = Reply(self.rest, event)
        try:
            await self._heard(event, reply)
        except DeliveryFailed as failure:
            log.warning("answer_not_delivered", channel="discord", error=failure.detail)
        except Exception:
            log.exception("event_failed", channel="discord")

    async def _heard(self, event: Event, reply: Reply) -> None:
        try:
            self.members.check(event)
        except AccountRefused as error:
            if await reply.refuse(_words(error)):
                await self.desk.turned_away(event.account, error)
            return
        act = read_act(event.custom_id)
        if event.kind == COMMAND:
            await self._command(event, reply)
        elif act is None:
            await reply.refuse(_STRANGE)
        elif event.kind == FORM:
            await self._cast(event, reply, act, event.field(REASON))
        elif event.kind == PRESS and act.asks:
            await self._ask(event, reply, act)
        else:
            await self._cast(event, reply, act, "")

    # --- ballots ---

    async def _ask(self, event: Event, reply: Reply, act: Act) -> None:
        """Open the form, unless the desk knows at once that it would be in vain."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.desk.card(event.account, act.token)
        except TimeoutError:
            log.info("form_without_desk", channel="discord")
        except AssentryError as error:
            await reply.refuse(_words(error))
            return
        await reply.ask(act)

    async def _cast(self, event: Event, reply: Reply, act: Act, comment: str) -> None:
        if not await reply.claim():
            return
        try:
            await self._check(event)
            said = await self.desk.cast(event.account, act.token, act.choice, comment)
        except AssentryError as error:
            await reply.whisper(_words(error))
            if isinstance(error, Conflict):
                await self._heal(event, reply, act)
        except Exception:
            log.exception("ballot_failed", channel="discord")
            await reply.whisper(_BROKEN)
        else:
            await reply.show(message(said.card).body)

    async def _heal(self, event: Event, reply: Reply, act: Act) -> None:
        """Bring a message to what is so now, after somebody pressed what is over."""
        try:
            card = await self.desk.card(event.account, act.token)
        except AssentryError as error:
            log.info("card_not_healed", channel="discord", error=error.code)
            return
        await reply.show(message(card).body)

    async def _check(self, event: Event) -> None:
        try:
            await self.members.check_conversation(event)
        except AccountRefused as error:
            await self.desk.turned_away(event.account, error)
            raise

    # --- commands ---

    async def _command(self, event: Event, reply: Reply) -> None:
        if not await reply.think():
            return
        try:
            await self._check(event)
            await self._show(event, reply)
        except AssentryError as error:
            await reply.show({"content": _words(error)})
        except DeliveryFailed:
            raise
        except Exception:
            log.exception("command_failed", channel="discord")
            await reply.show({"content": _BROKEN})

    async def _show(self, event: Event, reply: Reply) -> None:
        name, options = event.command()
        if name == "assentry inbox":
            await reply.show(inbox_message(await self.desk.inbox(event.account)).body)
        elif name == "assentry show":
            card = await self.desk.show(event.account, str(options.get("id", "")).strip())
            await reply.show(message(card).body)
        else:
            await reply.show({"content": _STRANGE})


def _words(error: AssentryError) -> str:
    """Return what somebody is told who was refused, with the page that helps if there is one."""
    url = error.extra.get("url") if isinstance(error, NotLinked) else None
    return f"{escaped(error.detail)}\n<{url}>" if isinstance(url, str) else escaped(error.detail)
