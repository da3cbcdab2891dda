"""A small installation whose people are told in channels at the port."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from app.core.delivery import Delivery, DeliveryState
from app.core.jobs import Lane
from app.core.ports import Account, Channel
from app.core.principals import Caller, Session
from app.core.request import Request
from app.services.passwords import hash_password
from tests.support.channel import FakeChannel
from tests.support.world import World, world
from workers.couriers import DeliverySource
from workers.jobs import JobSource
from workers.loop import Loop

ANNE, BEN = Account("chat", "T1:ANNE", "anne"), Account("chat", "T1:BEN", "ben")


PASSWORD = "correct horse battery staple 47"


class Mail(FakeChannel):
    """The same, as mail: addresses are people's own, and cards carry links."""

    name: ClassVar[str] = "email"
    wants_link: ClassVar[bool] = True


@asynccontextmanager
async def opened(
    database_url: str, folder: Path, *channels: Channel, **options: Any
) -> AsyncGenerator[World, None]:
    """Open it, with the accounts of Anne and Ben linked in the chat."""
    async with world(database_url, folder, channels=channels, **options) as place:
        for who, account in ((place.anne, ANNE), (place.ben, BEN)):
            await place.services.accounts.link(place.anne, who.actor.id, "chat", account.id)
        yield place


@asynccontextmanager
async def working(place: World) -> AsyncGenerator[None, None]:
    """Run the loops of jobs and of every channel."""
    stop, services = asyncio.Event(), place.services
    async with asyncio.timeout(50), asyncio.TaskGroup() as group:
        for lane in Lane:
            jobs = JobSource(services.store, services, lane)
            group.create_task(Loop(services.store, jobs, 8).run(stop))
        for name in services.couriers.channels:
            source = DeliverySource(services.couriers, name)
            group.create_task(Loop(services.store, source, 8).run(stop))
        try:
            yield
        finally:
            stop.set()


async def deliveries(place: World, request: Request) -> list[Delivery]:
    """Return what was written to be delivered about a request."""
    return await place.services.store.read(lambda tx: tx.deliveries.of_request(request.id))


async def settled(place: World, request: Request, *states: DeliveryState) -> list[Delivery]:
    """Wait until the deliveries of a request stand as named."""
    with place.services.store.signals.following() as news:
        async with asyncio.timeout(30):
            while True:
                found = await deliveries(place, request)
                if found and {item.state for item in found} <= set(states):
                    return found
                await news.get()


async def converged(place: World, request: Request) -> None:
    """Wait until every copy shows the request as it is now."""
    version = (await place.get(request)).version
    with place.services.store.signals.following() as news:
        async with asyncio.timeout(30):
            while {item.shown for item in await deliveries(place, request)} != {version}:
                await news.get()


def token(channel: FakeChannel, recipient: str) -> str:
    """Return what the buttons of the message to a recipient carry."""
    return next(item.card.token for item in channel.messages if item.recipient == recipient)


def signed_in(caller: Caller) -> Caller:
    """Return a person as a browser's session shows them."""
    assert caller.person is not None
    return replace(caller, session=_session(caller.person.id))


async def with_password(place: World, caller: Caller) -> Caller:
    """Give a person the password of the tests; they are signed in, and must give it where asked."""
    assert caller.person is not None
    person = replace(caller.person, password=await hash_password(PASSWORD))
    await place.services.store.write(lambda tx: tx.people.put(person))
    return replace(signed_in(caller), person=person, local=False)


def _session(person_id: str) -> Session:
    return Session("0" * 64, person_id, "form", 0, 0, 1 << 60, "", "")  # pyright: ignore[reportArgumentType]


async def carried(place: World, channel: str = "chat") -> None:
    """Carry all that is due in a channel."""
    couriers = place.services.couriers
    while found := await couriers.claim(channel, 100):
        for item in found:
            await couriers.carry(item)
