"""Ten thousand webhooks to receivers that fail in every way: none lost, none doubted (R6, R7)."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from app.clock import SystemClock
from app.core.delivery import Attempt, Delivery, DeliveryState
from app.core.instant import SECOND
from app.core.ports import DeliveryFailed, Parcel
from app.core.subscriptions import Filters
from app.services.announcements import WEBHOOK
from app.services.couriers import Couriers
from app.services.webhooks import Wanted
from integrations.webhooks.sender import Sender
from tests.support.leaping import leaping
from tests.support.receiver import Receiver
from tests.support.storm import TAKEN, Key, Storm
from tests.support.world import FakeClock, World, world

pytestmark = [pytest.mark.requirement("HOOK-1", "T49"), pytest.mark.timeout(600)]

HOOKS: Final = 20
NUMBER: Final = {"sqlite": int(os.environ.get("TEST_DELIVERIES", "10000")),
                 "postgresql": int(os.environ.get("TEST_DELIVERIES", "2000"))}  # fmt: skip
"""Deliveries on each engine; ``TEST_DELIVERIES=10000`` for the whole on both."""

PATIENCE: Final = 0.5
"""Seconds that a receiver has to answer here, instead of ten."""

FAULTS: Final[tuple[tuple[str, ...], ...]] = (
    ("500",), ("503", "500", "429"), ("429",), ("drop",), ("cut",), ("302",), ("late",),
    ("twice",), ("flood",), ("drop", "429", "302", "cut"),
)  # fmt: skip
FAULTY: Final = 0.3
STALLED: Final = 0.004


def script(key: Key) -> Sequence[str]:
    """Return how a delivery is answered: most at once, others after faults of every kind."""
    draw = random.Random("".join(key))
    if draw.random() < STALLED:
        return ("stall", "stall") if draw.random() < 0.2 else ("stall",)
    return draw.choice(FAULTS) if draw.random() < FAULTY else ()


@dataclass
class Rebinding:
    """Names whose address is another one each time, public or inside; the system knows none."""

    asked: Counter[str] = field(default_factory=Counter[str])

    async def __call__(self, host: str, port: int) -> list[str]:
        if host == "127.0.0.1":
            return [host]
        self.asked[host] += 1
        inside = (["10.0.0.1"], ["127.0.0.1", "169.254.169.254"], ["::1"])
        turn = self.asked[host]
        return ["127.0.0.1"] if turn % 2 == 0 else inside[turn // 2 % 3]


@dataclass
class Scene:
    """The product, the receiver, and its subscribers by path."""

    place: World
    storm: Storm
    couriers: Couriers
    hooks: dict[str, str] = field(default_factory=dict[str, str])

    async def subscribe(self) -> None:
        """Let twenty subscribe; one of them by a name that is rebound all the time."""
        webhooks = self.place.services.webhooks
        for number in range(HOOKS):
            base = self.storm.url.replace("127.0.0.1", "rebound.example") if not number else (
                self.storm.url
            )  # fmt: skip
            wanted = Wanted(
                name=f"hook {number}", url=f"{base}/{number}", networks=("127.0.0.0/8",),
                filters=Filters(events=("request.created",)),
            )  # fmt: skip
            hook, self.storm.secrets[f"/{number}"] = await webhooks.create(self.place.anne, wanted)
            self.hooks[f"/{number}"] = hook.id
        await self.place.services.announcements.look()

    async def rotate(self, count: int) -> None:
        """Rotate every secret under way; subscribers learn of it later."""
        await self.storm.until(lambda: self.storm.count > count // 3, 300)
        rotate = self.place.services.webhooks.rotate
        fresh = {path: await rotate(self.place.anne, name) for path, name in self.hooks.items()}
        await self.storm.until(lambda: self.storm.count > 2 * count // 3, 300)
        self.storm.secrets.update(fresh)

    async def deliveries(self) -> list[Delivery]:
        """Return every delivery."""
        return await self.place.services.store.read(
            lambda tx: tx.deliveries.find(channel=WEBHOOK, limit=10**6)
        )

    async def attempts(self, delivery: Delivery) -> list[Attempt]:
        """Return the tries of one."""
        return await self.place.services.store.read(lambda tx: tx.deliveries.attempts(delivery.id))


@asynccontextmanager
async def scene(database_url: str, folder: Path) -> AsyncGenerator[Scene, None]:
    async with (
        world(database_url, folder, clock=FakeClock()) as place,
        Storm(script) as storm,
    ):
        sender = Sender(SystemClock(), seconds=PATIENCE, lookup=Rebinding())
        made = Scene(place, storm, replace(place.services.couriers, announcer=sender))
        await made.subscribe()
        yield made
        await sender.close()


async def test_none_is_lost(database_url: str, tmp_path: Path) -> None:
    count = NUMBER[database_url.partition(":")[0]]
    async with Receiver() as trap, scene(database_url, tmp_path) as made:
        made.storm.trap = trap.url
        async with leaping(made.place, made.couriers, WEBHOOK, concurrency=32) as time:
            async with asyncio.TaskGroup() as group:
                group.create_task(made.rotate(count))
                for _ in range(count // HOOKS):
                    await made.place.ask("send_mail")
            await time.over(500)
        assert trap.log == []
        await check(made, count)


async def check(made: Scene, count: int) -> None:
    """Each was taken, was the same each time, and was believed each time."""
    deliveries, storm = await made.deliveries(), made.storm
    assert Counter(item.state for item in deliveries) == {DeliveryState.DONE: count}
    paths = {name: path for path, name in made.hooks.items()}
    keys = {(paths[item.recipient], item.event_id or ""): item for item in deliveries}
    assert storm.rejected == []
    assert len(keys) == count and set(keys) == set(storm.posts) == storm.taken
    assert all(len(set(bodies)) == 1 for bodies in storm.posts.values())
    refused: Counter[str] = Counter()
    for key, delivery in keys.items():
        refused[key[0]] += check_tries(key, await made.attempts(delivery), len(storm.posts[key]))
    assert {path for path, times in refused.items() if times} == {"/0"}


def check_tries(key: Key, tries: list[Attempt], posts: int) -> int:
    """What failed was tried again, not before it was allowed; what was taken was not.

    Returns how often the address was refused.
    """
    assert [item.outcome for item in tries] == ["retry"] * (len(tries) - 1) + ["taken"]
    assert not [item.detail for item in tries if "our own code" in item.detail]
    refused = [item for item in tries if "not permitted" in item.detail]
    assert sum(word not in TAKEN for word in script(key)) < posts <= len(tries) - len(refused)
    for earlier, later in pairwise(tries):
        least = 30 if "429" in earlier.detail else 1
        assert later.at - earlier.at >= least * SECOND
    return len(refused)


async def test_a_second_answer_is_nobodys() -> None:
    """On a kept connection it would be taken for the answer to what is sent next."""
    secret = f"whsec_{'QUJD' * 11}QQ=="
    async with Storm(lambda key: ("twice",) if key[1] == "evt_0" else ("500",)) as storm:
        storm.secrets["/x"] = secret
        sender = Sender(SystemClock())
        parcels = [
            Parcel(f"evt_{number}", f"{storm.url}/x", b"{}", (secret,), ("127.0.0.0/8",))
            for number in range(2)
        ]
        assert await sender.send(parcels[0]) == 200
        with pytest.raises(DeliveryFailed, match="500"):
            await sender.send(parcels[1])
        await sender.close()


async def test_who_rotates_at_the_same_time_gets_a_secret_that_signs(
    database_url: str, tmp_path: Path
) -> None:
    async with world(database_url, tmp_path) as place:
        webhooks, anne = place.services.webhooks, place.anne
        wanted = Wanted(name="hook", url="https://hooks.example/x")
        hook, _ = await webhooks.create(anne, wanted)
        for _ in range(20):
            both = await asyncio.gather(*(webhooks.rotate(anne, hook.id) for _ in range(2)))
            sealed = await place.services.store.read(lambda tx: tx.webhooks.secrets(hook.id))
            assert sealed is not None
            live = await place.services.store.read(
                lambda tx, sealed=sealed: webhooks._live(tx, hook.id, sealed)
            )
            assert set(both) <= set(live)
