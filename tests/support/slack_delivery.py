"""Brings what people do to an application: posted with a signature, or over Socket Mode."""

import json
from dataclasses import replace
from typing import Final, Unpack
from urllib.parse import urlencode

from tests.support.slack_answer import Answer, Endpoint, Odd
from tests.support.slack_faults import News
from tests.support.slack_payloads import Payloads, merged
from tests.support.slack_people import JSON, Team
from tests.support.slack_socket import Sockets
from tests.support.slack_world import World

_FORM: Final = "application/x-www-form-urlencoded"


class Deliveries:
    """Delivers to the application, wherever its page says.

    :ivar answers: what the application answered to every action, in order.
    """

    def __init__(self, world: World, news: News, sockets: Sockets) -> None:
        """Deliver what happens in a world."""
        self.world = world
        self.news = news
        self.sockets = sockets
        self.endpoint = Endpoint(world)
        self.payloads = Payloads(world)
        self.answers: list[Answer] = []

    async def event(self, event: JSON, *, team: Team | None = None, **odd: Unpack[Odd]) -> Answer:
        """Tell the application of any event, such as ``app_uninstalled``."""
        payload = self.payloads.event(team or self.world.acme, event)
        return await self.deliver("events_api", payload, odd)

    async def verify(self, request_url: str, **odd: Unpack[Odd]) -> Answer:
        """Ask for the proof that the application listens at a URL, as its page at Slack does."""
        payload = self.payloads.challenge()
        odd.setdefault("url", request_url)
        return await self.deliver("events_api", payload, odd)

    async def replay(self, answer: Answer) -> Answer:
        """Post the request of an earlier action again, byte for byte.

        :raises ValueError: it was not posted.
        """
        if answer.signed is None:
            raise ValueError("what goes over Socket Mode has no signature that one could replay")
        again = await self.endpoint.post(answer.signed, answer.payload)
        return await self._kept(again)

    async def redeliver(self, answer: Answer, **odd: Unpack[Odd]) -> Answer:
        """Send what an earlier action sent once more, as Slack does when it got no answer.

        Over HTTP it is signed anew, over Socket Mode it comes in a new envelope.
        """
        odd.setdefault("retry_num", 1)
        return await self.deliver(_kind(answer.payload), answer.payload, odd)

    async def deliver(self, kind: str, payload: JSON, odd: Odd) -> Answer:
        """Deliver a payload of a kind: ``interactive``, ``slash_commands`` or ``events_api``."""
        payload = merged(payload, odd.get("changes", {}))
        url = odd.get("url", self._url(kind))
        repeat = max(1, odd.get("repeat", 1))
        if url is None:
            found = [await self._send(kind, payload, odd) for _ in range(repeat)]
        else:
            content_type, body = _encoded(kind, payload)
            signed = self.endpoint.sign(url, body, content_type, odd)
            found = [await self.endpoint.post(signed, payload) for _ in range(repeat)]
        return await self._kept(replace(found[0], repeats=tuple(found[1:])))

    async def _send(self, kind: str, payload: JSON, odd: Odd) -> Answer:
        number = odd.get("retry_num")
        retry = None if number is None else (number, odd.get("retry_reason", "timeout"))
        return replace(await self.sockets.deliver(kind, payload, retry), payload=payload)

    async def _kept(self, answer: Answer) -> Answer:
        self.answers.append(answer)
        await self.news.tell()
        return answer

    def _url(self, kind: str) -> str | None:
        app = self.world.app
        return {
            "interactive": app.interactivity,
            "slash_commands": app.commands,
            "events_api": app.events,
        }[kind]


def _kind(payload: JSON) -> str:
    if "command" in payload:
        return "slash_commands"
    return "interactive" if "user" in payload else "events_api"


def _encoded(kind: str, payload: JSON) -> tuple[str, bytes]:
    if kind == "slash_commands":
        return _FORM, urlencode(payload).encode()
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    if kind == "events_api":
        return "application/json", text.encode()
    return _FORM, urlencode({"payload": text}).encode()
