"""A running product with Slack and mail, and crews of two, Anna and Ben, who are asked in both.

Requests have numbers, which stand in the path that they call; so cards and mails are told apart.
Each crew gets as many as one person is told at once, before the rest is gathered (T9).
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from sqlalchemy import Row, create_engine, text

from app.store.database import Database
from tests.support.api import Api, link, signed_in
from tests.support.server import EMAIL, PASSWORD, Installation, install
from tests.support.slack_message import Message
from tests.support.slack_people import User
from tests.support.slack_server import Slack
from tests.support.smtp import MailSink, parts
from tests.support.upstream import Upstream

SLACK_PATH: Final = "/integrations/slack"
PATIENCE: Final = 60.0
"""Seconds that anything here may take."""

Place = tuple[int, str]
"""Number of a request, and name of a person."""

CREW: Final = 15
"""Requests of one crew."""

NAMES: Final = ("anna", "ben")
_NUMBER: Final = re.compile(r"/echo/(\d+)")
_LINK: Final = re.compile(r"Decide: \S+(/l/\S+)")


@dataclass
class Gate:
    """The product, the vendors, and callers.

    :ivar ids: of the requests, by number.
    """

    product: Installation
    database_url: str
    slack: Slack
    sink: MailSink
    upstream: Upstream
    ids: dict[int, str] = field(default_factory=dict[int, str])
    users: dict[tuple[int, str], User] = field(default_factory=dict[tuple[int, str], User])

    async def prepare(self, requests: int) -> None:
        """Let the agent ask without limit, and make the crews for so many requests."""
        self.admin, self.agent = (
            Api(self.product.base_url, key)
            for key in (self.product.admin_key, self.product.agent_key)
        )
        await self.admin.call("PATCH", f"/api/agents/{self.product.agent_id}", open_limit=0)
        crews = range(-(-requests // CREW))
        async with signed_in(self.product.base_url, EMAIL, PASSWORD) as browser:
            rules = [await self._crew(browser, number) for number in crews]
        await self.admin.made("/api/policies", name="crews", rules=rules)

    async def _crew(self, browser: httpx.AsyncClient, number: int) -> dict[str, Any]:
        """Make two people and a target; return the rule that wants both votes."""
        await self.admin.made(
            "/api/targets", name=f"notes{number}", base_url=self.upstream.url,
            settings={"networks": ["127.0.0.0/8"]},
        )  # fmt: skip
        people = [f"{name}{number}@example.org" for name in NAMES]
        for name, email in zip(NAMES, people, strict=True):
            made = await self.admin.made(
                "/api/people", name=name, email=email, role="approver", password=PASSWORD
            )
            user = self.slack.world.add_user(self.slack.world.acme, f"{name}{number}")
            self.users[number, name] = user
            await link(
                browser, PASSWORD, person_id=made["id"], channel="slack",
                account=f"{user.team.id}:{user.id}",
            )  # fmt: skip
        route = {"quorum": 2, "approvers": [f"person:{email}" for email in people]}
        return {"name": f"crew {number}", "effect": "review",
                "match": {"target": f"notes{number}"}, "route": route}  # fmt: skip

    def user(self, place: Place) -> User:
        """Return the account in Slack of the one who is asked."""
        return self.users[place[0] // CREW, place[1]]

    async def ask(self, numbers: Sequence[int]) -> None:
        """Let the agent ask."""

        async def one(number: int) -> None:
            made = await self.agent.made(
                "/api/requests", action="http.request", target=f"notes{number // CREW}",
                params={"method": "POST", "path": f"/echo/{number}"},
            )  # fmt: skip
            self.ids[number] = str(made["id"])

        async with asyncio.TaskGroup() as group:
            for number in numbers:
                group.create_task(one(number))

    async def cards(self) -> dict[Place, Message]:
        """Return every card, once all are there."""
        most, messages = 2 * len(self.ids), self.slack.world.messages
        await self.slack.wait_for(
            lambda: (len(messages) >= most and len(self._cards()) == most) or None, PATIENCE
        )
        return self._cards()

    def _cards(self) -> dict[Place, Message]:
        names = {user: name for (_, name), user in self.users.items()}
        return {
            (int(found[1]), names[card.channel.user]): card
            for card in self.slack.world.messages
            if card.channel.user and (found := _NUMBER.search(card.shown))
        }

    async def links(self) -> dict[Place, str]:
        """Return the path of every link, once all mails are there."""
        most, mails = 2 * len(self.ids), self.sink.mails
        await self.sink.until(lambda: len(mails) >= most and len(self._links()) == most, PATIENCE)
        return self._links()

    def _links(self) -> dict[Place, str]:
        made: dict[Place, str] = {}
        for mail in self.sink.mails:
            words = parts(mail)[0]
            link, number = _LINK.search(words), _NUMBER.search(words)
            if link and number:
                name = re.split(r"\d", str(mail["To"]))[0]
                made[int(number[1]), name] = link[1]
        return made

    async def ended(self, numbers: Sequence[int]) -> None:
        """Wait until requests are over."""
        for number in numbers:
            path = f"/api/requests/{self.ids[number]}?wait=20"
            async with asyncio.timeout(PATIENCE):
                while (await self.agent.call("GET", path))[1]["status"] in (
                    "pending", "approved", "executing",
                ):  # fmt: skip
                    pass

    def rows(self, query: str) -> Sequence[Row[Any]]:
        """Return what the database has, past the product."""
        engine = create_engine(Database(self.database_url).url)
        try:
            with engine.connect() as connection:
                return connection.execute(text(query)).all()
        finally:
            engine.dispose()


@asynccontextmanager
async def gate(folder: Path, database_url: str, requests: int) -> AsyncGenerator[Gate, None]:
    """Run server and worker in one process, Slack over HTTP, and prepare everything."""
    async with Upstream() as upstream, MailSink() as sink, Slack() as slack:
        slack.endpoint.deadline = slack.sockets.deadline = PATIENCE
        app = slack.world.app
        settings: dict[str, Any] = {
            "slack_bot_token": slack.world.acme.bot_token, "slack_api_url": slack.api_url,
            "slack_signing_secret": app.signing_secret, "slack_app_id": app.id,
            "email_host": "127.0.0.1", "email_port": sink.port, "email_security": "none",
            "email_sender": "gate@example.org",
        }  # fmt: skip
        product = install(folder / "data", database_url=database_url, **settings)
        try:
            await asyncio.to_thread(product.up)
            app.set_request_url(f"{product.base_url}{SLACK_PATH}")
            made = Gate(product, database_url, slack, sink, upstream)
            await made.prepare(requests)
            yield made
            await asyncio.to_thread(product.stop)
        finally:
            for process in product.processes:
                if process.code is None:
                    process.kill9()
