"""What people do: press, submit, call a command, open the home tab; and what it leads to."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

from tests.support.slack_answer import Answer, Odd
from tests.support.slack_chat import Chat
from tests.support.slack_delivery import Deliveries
from tests.support.slack_faults import News, Refused
from tests.support.slack_message import Message
from tests.support.slack_payloads import Target
from tests.support.slack_people import Channel, User
from tests.support.slack_socket import Sockets
from tests.support.slack_view import View
from tests.support.slack_views import Views
from tests.support.slack_world import World


class Actions(Deliveries):
    """Acts for people."""

    def __init__(
        self, world: World, news: News, sockets: Sockets, chat: Chat, views: Views
    ) -> None:
        """Act in a world."""
        super().__init__(world, news, sockets)
        self._chat = chat
        self._views = views

    async def press(
        self,
        where: Message | View,
        action_id: str,
        *,
        user: User | None = None,
        value: Any = None,
        block_id: str = "",
        **odd: Unpack[Odd],
    ) -> Answer:
        """Press a button of a message, a modal or a home tab, or choose from a list.

        :param action_id: of several elements that share it, the one in ``block_id``, the button
            of that ``value``, or the first.
        :param user: Anna, if nobody is named.
        :param value: of the chosen option, or a date, and so on.
        :raises LookupError: there is no such thing, or the user does not see it.
        """
        by, forge = user or self.world.anna, odd.get("anyway", False)
        if not forge and not _sees(by, where):
            raise LookupError(f"{by.name} does not see it")
        target = Target(where, action_id, block_id, value, forge)
        payload = self.payloads.press(target, by)
        return await self.deliver("interactive", payload, odd)

    async def submit(
        self,
        view: View,
        values: Mapping[str, Any] | None = None,
        *,
        user: User | None = None,
        **odd: Unpack[Odd],
    ) -> Answer:
        """Fill in a modal and send it.

        :param values: by action id or block id; what is left out keeps its initial value.
        :param user: before whom the modal is open, if nobody is named.
        :raises ValueError: Slack would not let one submit this.
        """
        by = user or view.user
        if not odd.get("anyway", False) and not _sees(by, view):
            raise LookupError(f"{by.name} has no such modal open")
        state = view.filled(values or {})
        payload = self.payloads.submit(view, state, by)
        answer = await self.deliver("interactive", payload, odd)
        return await self._taken(answer, lambda: self._views.answered(view, answer.json))

    async def close(self, view: View, *, everything: bool = False, **odd: Unpack[Odd]) -> Answer:
        """Close a modal, or all of them; the application hears of it if it wants to.

        A modal with ``clear_on_close`` takes all the others with it. If the application does not
        want to hear of it, the answer's status is 0.
        """
        everything = everything or bool(view.content.get("clear_on_close"))
        payload = self.payloads.close(view, view.user, everything=everything)
        view.is_open = False
        if everything:
            self._views.clear(view.user)
        await self.news.tell()
        if not view.content.get("notify_on_close"):
            return Answer(0, error="the application does not want to know")
        return await self.deliver("interactive", payload, odd)

    async def command(
        self,
        name: str,
        text: str = "",
        *,
        user: User | None = None,
        channel: Channel | None = None,
        **odd: Unpack[Odd],
    ) -> Answer:
        """Call a slash command, in the user's conversation with the bot if nothing is named."""
        by = self._present(user, odd)
        place = channel or self.world.direct(by.team, by)
        payload = self.payloads.command(name, text, by, place)
        hook = self.world.hooks[payload["response_url"].removeprefix(self.payloads.url)]
        answer = await self.deliver("slash_commands", payload, odd)
        said = answer.json
        return await self._taken(answer, lambda: said and self._chat.answer(hook, said))

    async def open_home(
        self, user: User | None = None, *, tab: str = "home", **odd: Unpack[Odd]
    ) -> Answer:
        """Open the application's home."""
        by = self._present(user, odd)
        return await self.event(self.payloads.home(by, tab), team=by.team, **odd)

    async def _taken(self, answer: Answer, take: Any) -> Answer:
        """Do what an answer asks for."""
        if not answer.good:
            return answer
        try:
            take()
        except Refused as error:
            index = self.answers.index(answer)
            answer = replace(answer, error=error.error)
            self.answers[index] = answer
        await self.news.tell()
        return answer

    def _present(self, user: User | None, odd: Odd) -> User:
        by = user or self.world.anna
        if by.deleted and not odd.get("anyway", False):
            raise LookupError(f"{by.name} has left")
        return by


def _sees(user: User, where: Message | View) -> bool:
    if isinstance(where, Message):
        return where.visible_to(user)
    return where.user is user and where.is_open and not user.deleted
