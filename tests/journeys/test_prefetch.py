"""A thousand looks at live links by scanners and previews change no row of any table (T10)."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import httpx
import pytest
from sqlalchemy import MetaData, create_engine, select

from app.asgi import create_app
from app.cli.listening import Server, bound, config
from app.core.delivery import DeliveryState
from app.core.request import Request, Status
from app.store.database import Database
from tests.support.channel import FakeChannel
from tests.support.world import World, world
from workers.couriers import DeliverySource

pytestmark = [
    pytest.mark.requirement("T10", "T11", "CH-4"),
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:.*expression-based index ix_requests_identical"),
]

LOOKS: Final = 1000
AT_ONCE: Final = 8
METHODS: Final = ("GET", "HEAD", "OPTIONS")
SCANNERS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) SafeLinks", "Slackbot-LinkExpanding 1.0",
    "Mozilla/5.0 (compatible; Discordbot/2.0)", "Mozilla/5.0 (compatible; Barracuda Sentinel)",
    "GoogleImageProxy", "Mimecast-URL-Protect", "Proofpoint-URLDefense", "facebookexternalhit/1.1",
    "Outlook-iOS/2.0", "curl/8.5",
)  # fmt: skip
PREFETCH: Final = (
    {}, {"Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"X-Moz": "prefetch"},
    {"Sec-Fetch-Site": "none", "Sec-Fetch-User": "?1"},
)  # fmt: skip


class Mail(FakeChannel):
    """A channel whose cards carry links."""

    name: ClassVar[str] = "email"
    wants_link: ClassVar[bool] = True


@asynccontextmanager
async def served(place: World) -> AsyncGenerator[httpx.AsyncClient, None]:
    """Serve the whole application over HTTP, in this loop."""
    stop, sock = asyncio.Event(), bound("127.0.0.1", 0)
    app = create_app(place.services.settings, place.services)
    base = f"http://127.0.0.1:{sock.getsockname()[1]}"
    async with asyncio.TaskGroup() as group:
        group.create_task(Server(config(app, lifespan="on")).until(stop, sock))
        async with httpx.AsyncClient(base_url=base) as browser:
            yield browser
        stop.set()


async def links(place: World, mail: Mail, count: int) -> list[list[str]]:
    """Ask, send the cards, and return the paths of both links of each request."""
    services = place.services
    for _ in range(count):
        request: Request = await place.ask("send_mail")
        await services.notices.notify(request.id)
    source = DeliverySource(services.couriers, "email")
    while items := await source.claim(16):
        for item in items:
            await source.work(item)
    found = await services.store.read(lambda tx: tx.deliveries.find(channel="email"))
    assert {item.state for item in found} == {DeliveryState.DONE}
    made: dict[str, list[str]] = {}
    for message in mail.messages:
        path = message.card.link.rsplit("/l/", 1)[1]
        made.setdefault(message.card.request_id, []).append(f"/l/{path}")
    assert [len(pair) for pair in made.values()] == [2] * count
    return list(made.values())


def dump(database_url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    engine, known = create_engine(Database(database_url).url), MetaData()
    known.reflect(engine)
    with engine.connect() as connection:
        found = {
            name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for name, table in known.tables.items()
        }
    engine.dispose()
    return found


async def look(browser: httpx.AsyncClient, paths: list[str], times: int) -> Counter[int]:
    """Do what scanners and previews do, several at once."""
    draw, seen, left = random.Random(10), Counter[int](), iter(range(times))

    async def some() -> None:
        for number in left:
            headers = {"User-Agent": draw.choice(SCANNERS), **draw.choice(PREFETCH)}
            path, method = draw.choice(paths), METHODS[number % 3]
            seen[(await browser.request(method, path, headers=headers)).status_code] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())
    return seen


async def decide(browser: httpx.AsyncClient, path: str) -> int:
    """Decide by a link, as a person does."""
    page = (await browser.get(path)).text
    (form,) = re.findall(r'name="form" value="([^"]+)"', page)
    return (await browser.post(path, data={"form": form, "decision": "approve"})).status_code


async def test_looking_changes_nothing(database_url: str, tmp_path: Path) -> None:
    mail = Mail()
    async with world(database_url, tmp_path, channels=(mail,)) as place, served(place) as browser:
        (used, other), *pairs = await links(place, mail, 10)
        assert await decide(browser, used) == 200
        live, spent = [link for pair in pairs for link in pair], [used, f"{other}x", "/l/none"]
        before = dump(database_url)
        assert len(before["links"]) == 20 and len(before["votes"]) == 1
        assert await look(browser, live, LOOKS) == {200: 667, 405: 333}
        assert set(await look(browser, spent, 99)) == {404, 405, 410}
        assert dump(database_url) == before
        assert {await decide(browser, pair[number % 2]) for number, pair in enumerate(pairs)} == {
            200
        }
        for message in mail.messages:
            request = await place.services.requests.get(place.anne, message.card.request_id)
            assert request.status is Status.APPROVED
