"""The inbox by what expires first, on both engines, page by page."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.core.errors import InvalidCursor
from app.core.request import Request, evolve
from app.services.inbox import Waiting
from app.store.tx import Tx
from tests.support.world import World, world

pytestmark = pytest.mark.requirement("DASH-1", "DASH-2")


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


async def waiting(place: World, ends: list[int]) -> list[str]:
    """Add requests that expire so many seconds from now; return their ids, first to expire first.

    Those that expire in the same second follow each other by id.
    """
    one = await place.ask()
    made = [
        evolve(one, {"id": f"{one.id[:-3]}{n:03}", "expires_at": one.created_at + s * 1_000_000})
        for n, s in enumerate(ends)
    ]

    def add(tx: Tx) -> None:
        for item in made:
            tx.requests.insert(item)

    await place.services.store.write(add)
    await place.services.decisions.cancel(place.anne, one.id, "")

    def key(item: Request) -> tuple[int, str]:
        return item.expires_at, item.id

    return [item.id for item in sorted(made, key=key)]


async def test_pages_go_on_and_back_by_what_expires_first(place: World) -> None:
    ids = await waiting(place, [900, 60, 60, 60, 300, 60, 1200])
    inbox, seen, cursor = place.services.inbox, list[str](), ""
    pages: list[list[str]] = []
    while True:
        page = await inbox.page(place.anne, Waiting(), cursor, 3)
        pages.append([item.id for item in page.items])
        seen += pages[-1]
        if page.older is None:
            break
        cursor = f"later.{page.older}"
    assert seen == ids
    assert page.newer is not None
    back = await inbox.page(place.anne, Waiting(), f"sooner.{page.newer}", 3)
    assert [item.id for item in back.items] == pages[-2]
    first = await inbox.page(place.anne, Waiting(), f"sooner.{back.newer}", 3)
    assert [item.id for item in first.items] == pages[0]
    assert (first.newer, first.older is not None) == (None, True)


async def test_filters_and_bad_places(place: World) -> None:
    ids = await waiting(place, [60, 120])
    inbox = place.services.inbox
    mine = await inbox.page(place.anne, Waiting(agent_id=place.agent.id), "", 10)
    assert [item.id for item in mine.items] == ids
    for nothing in (Waiting(agent_id="agt_x"), Waiting(target_id="x"), Waiting(urgency="high")):
        assert (await inbox.page(place.anne, nothing, "", 10)).items == []
    for wrong in ("later.", "x.1_a", "later.x_a"):
        with pytest.raises(InvalidCursor):
            await inbox.page(place.anne, Waiting(), wrong, 10)


async def test_an_agents_page_counts_what_its_limit_is_about(place: World) -> None:
    await waiting(place, [60, 120])
    assert await place.services.requests.pending_of(place.anne, place.agent.id) == 2
    assert await place.services.requests.pending_of(place.robot, "agt_other") == 0


@pytest.mark.requirement("DASH-1", "DEC-2")
async def test_what_one_may_decide_is_told_apart(database_url: str, tmp_path: Path) -> None:
    async with world(database_url, tmp_path) as place:
        route = {"approvers": ["person:anne@example.org"]}
        await place.policy("hers", "review", {"action": "read_file"}, route=route)
        await place.policy("two", "review", {"action": "send_mail"}, route={"quorum": 2})
        hers, both = await place.ask("read_file"), await place.ask("send_mail")
        inbox, items = place.services.inbox, [hers, both]
        assert await inbox.decidable(place.anne, items) == {hers.id, both.id}
        assert await inbox.decidable(place.ben, items) == {both.id}
        after = await place.vote(both, place.ben)
        assert await inbox.decidable(place.ben, [hers, after]) == frozenset()
        assert await inbox.decidable(place.robot, items) == frozenset()
