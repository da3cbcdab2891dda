"""A small installation in one process: services over a fresh database, people, an agent, a target.

Nothing is faked but the clock, when a test gives one.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from app.clock import SystemClock
from app.core.audit import Actor, ActorKind
from app.core.instant import SECOND, Instant
from app.core.ports import Channel
from app.core.principals import AGENT_SCOPES, ROLE_SCOPES, Agent, ApiKey, Caller, Person, Role
from app.core.request import Ballot, Choice, Request
from app.core.targets import Target, TargetSettings
from app.factory import services
from app.services.bundle import Services
from app.services.intake import Asked
from app.services.sealing import create_master_key
from app.settings import PartSettings, Settings
from app.store.tx import Tx
from integrations.base import Registered
from tests.support.templates import prepare


class FakeClock(SystemClock):
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 1_700_000_000 * SECOND

    def now(self) -> Instant:
        return Instant(self.at)

    def move(self, seconds: float) -> None:
        self.at += round(seconds * SECOND)


_NUMBERS = count(1)


@dataclass
class World:
    """The services with those who call them."""

    services: Services
    agent: Agent
    key: ApiKey
    anne: Caller
    ben: Caller
    robot: Caller

    async def ask(self, action: str = "send_mail", **fields: object) -> Request:
        """Submit a plain action as the agent; each is another unless its context is given."""
        values = {"params": {}, "context": {"number": next(_NUMBERS)}, **fields}
        asked = Asked(action=action, **values)  # pyright: ignore[reportArgumentType]
        return await self.services.intake.submit(self.robot, asked)

    async def call(
        self, method: str, path: str, target: str = "upstream", **params: object
    ) -> Request:
        """Submit an HTTP action as the agent."""
        return await self.ask(
            "http.request", target=target, params={"method": method, "path": path, **params}
        )

    async def vote(
        self, request: Request, who: Caller | None = None, choice: Choice = Choice.APPROVE
    ) -> Request:
        """Cast a ballot, as Anne unless told otherwise."""
        ballot = Ballot(choice, request.digest, "looked at it", "api")
        return await self.services.decisions.cast(who or self.anne, request.id, ballot)

    async def get(self, request: Request) -> Request:
        """Return the request as it stands now."""
        return await self.services.requests.get(self.anne, request.id)

    async def policy(
        self, name: str, effect: str, match: dict[str, object], **rule: object
    ) -> None:
        """Put a policy with one rule into force."""
        document: dict[str, Any] = {
            "name": name,
            "rules": [{"name": "rule", "effect": effect, "match": match, **rule}],
        }
        await self.services.policies.create(self.anne, document)
        await self.services.policies.refresh()

    async def target(self, base_url: str, name: str = "upstream", **settings: object) -> Target:
        """Configure an upstream on loopback."""
        now = self.services.clock.now()
        target = Target(
            id=self.services.ids.new("tgt"), name=name, description="", kind="http",
            base_url=base_url, revision=1, enabled=True, credential_id=None, created_at=now,
            updated_at=now,
            settings=TargetSettings(networks=("127.0.0.0/8",), **settings),  # pyright: ignore[reportArgumentType]
        )  # fmt: skip
        await self.services.store.write(lambda tx: tx.targets.add(target))
        return target


class NoSettings(PartSettings):
    """The settings of a channel that a test made by itself."""


def registered(channel: Channel) -> Registered:
    """Return the registration of a channel that a test made by itself."""
    return Registered(channel.name, "ASSENTRY_TEST_", lambda: NoSettings, lambda _part: channel)


def settings_for(database_url: str, folder: Path, **values: object) -> Settings:
    """Return settings of an installation in a folder of the test."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "master.key"
    if not key.exists():
        create_master_key(key)
    return Settings.model_validate({"data_dir": folder, "database_url": database_url, **values})


@asynccontextmanager
async def world(
    database_url: str,
    folder: Path,
    *,
    clock: SystemClock | None = None,
    channels: Sequence[Channel] = (),
    **values: object,
) -> AsyncGenerator[World, None]:
    """Open a small installation on an empty database, with these channels alone."""
    settings = settings_for(database_url, folder, **values)
    prepare(settings.database)
    parts = [(registered(channel), NoSettings()) for channel in channels]
    async with services(settings, clock=clock, parts=parts) as opened:
        yield await populate(opened)


async def populate(opened: Services) -> World:
    """Add Anne (administrator), Ben (approver), Olga (owner) and her agent with a key."""
    now, ids = opened.clock.now(), opened.ids
    anne = Person(ids.new("per"), "Anne", "anne@example.org", Role.ADMIN, "-", True, now)
    ben = Person(ids.new("per"), "Ben", "ben@example.org", Role.APPROVER, "-", True, now)
    olga = Person(ids.new("per"), "Olga", "olga@example.org", Role.OPERATOR, "-", True, now)
    agent = Agent(ids.new("agt"), "robot", "", olga.id, 0, False, now)
    key = ApiKey(
        id=ids.new("key"), name="key", prefix="ask_test", sha256="0" * 64, agent_id=agent.id,
        person_id=None, scopes=AGENT_SCOPES, permissions=None, networks=(), rate_limit=None,
        created_at=now,
    )  # fmt: skip

    def write(tx: Tx) -> None:
        for person in (anne, ben, olga):
            tx.people.add(person)
        tx.agents.add(agent)
        tx.agents.add_key(key)

    await opened.store.write(write)
    return World(
        opened, agent, key, person_caller(anne), person_caller(ben), agent_caller(agent, key)
    )


def person_caller(person: Person) -> Caller:
    """Return a person at the server's own command line, who need not prove who they are."""
    return Caller(person.actor, ROLE_SCOPES[person.role], person=person, local=True)


def agent_caller(agent: Agent, key: ApiKey) -> Caller:
    """Return an agent that called with its key."""
    actor = Actor(ActorKind.AGENT, agent.id, agent.name)
    return Caller(actor, key.scopes, agent=agent, key=key)


def with_scopes(caller: Caller, *scopes: object) -> Caller:
    """Return the caller with other scopes."""
    return replace(caller, scopes=frozenset(scopes))
