"""One winner: a thousand requests, eight people at once, two servers, some racing their expiry."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from app.store.database import Database
from tests.support.api import Api, own_key
from tests.support.server import Installation, installation
from tests.support.upstream import Upstream

pytestmark = [
    pytest.mark.usefixtures("_clients"),
    pytest.mark.requirement("DEC-1", "T27", "T28", "OPS-1"),
    pytest.mark.timeout(400),
]
REQUESTS = 1000
RACERS = 8
OUTCOMES = {"approved", "denied", "executing", "succeeded"}
PASSWORD = "several unrelated words 42"


async def people(admin: Api) -> list[str]:
    """Make the racers and return their keys."""
    keys: list[str] = []
    for number in range(RACERS):
        email = f"racer{number}@example.org"
        await admin.made(
            "/api/people", name=f"racer {number}", email=email, role="approver", password=PASSWORD
        )
        keys.append(await own_key(str(admin.client.base_url), email, PASSWORD))
    return keys


async def ask_all(agent: Api) -> list[dict[str, Any]]:
    """Make the requests: a tenth are calls, a fifth expire while they are raced for."""

    async def ask(number: int) -> dict[str, Any]:
        short = {"expires_in": 4} if number % 5 == 0 else {}
        if number % 10 == 1:
            path = f"/echo/{number}"
            params = {"method": "POST", "path": path, "json": {}}
            made = await agent.made(
                "/api/requests", action="http.request", target="upstream", params=params, **short
            )
            return {**made, "path": path}
        return await agent.made("/api/requests", action="race", params={"n": number}, **short)

    made: list[dict[str, Any]] = []
    for start in range(0, REQUESTS, 50):
        numbers = range(start, start + 50)
        made += await asyncio.gather(*(ask(number) for number in numbers))
    return made


async def race(
    api: Api, number: int, asked: list[dict[str, Any]], told: dict[str, set[str]]
) -> Counter[str]:
    """Vote on everything, as fast as it goes, and count what came of it.

    :param told: takes up who decided, as winner and losers were told.
    """
    seen: Counter[str] = Counter()
    for place, request in enumerate(asked):
        decision = "approve" if (number + place) % 4 else "deny"
        status, answer = await api.call(
            "POST", f"/api/requests/{request['id']}/decide",
            decision=decision, digest=request["digest"],
        )  # fmt: skip
        assert status in (200, 409), answer
        if status == 409:
            assert answer["code"] in ("already_decided", "request_expired", "already_voted")
        if status == 409 and answer["code"] == "already_decided":
            assert answer["request_status"] in OUTCOMES, answer
            assert answer["decided_by"].startswith("person:"), answer
            told[request["id"]].add(answer["decided_by"])
        if status == 200:
            told[request["id"]].add(answer["decided_by"])
        seen[f"won {request['id']}" if status == 200 else answer["code"]] += 1
    return seen


async def test_one_winner(database_url: str, tmp_path: Path) -> None:
    with installation(tmp_path, servers=2, workers=1, database_url=database_url) as place:
        async with Upstream() as upstream:
            decided = await run_the_race(place, upstream)
        assert place.stop() == [0, 0, 0]
    check_votes(database_url, decided)


def check_votes(database_url: str, decided: set[str]) -> None:
    """One vote for each request that was decided, and none for the others."""
    engine = create_engine(Database(database_url).url)
    with engine.connect() as connection:
        votes = connection.execute(text("SELECT request_id FROM votes")).scalars().all()
    engine.dispose()
    assert Counter(votes) == dict.fromkeys(decided, 1)


async def run_the_race(place: Installation, upstream: Upstream) -> set[str]:
    """Ask, race, wait for the end, check, and return what was decided."""
    admin = Api(place.base_urls[0], place.admin_key)
    await admin.call("PATCH", f"/api/agents/{place.agent_id}", open_limit=0)
    await admin.made(
        "/api/targets", name="upstream", base_url=upstream.url,
        settings={"networks": ["127.0.0.0/8"]},
    )  # fmt: skip
    keys = await people(admin)
    asked = await ask_all(Api(place.base_urls[1], place.agent_key))
    racers = [Api(place.base_urls[n % 2], key) for n, key in enumerate(keys)]
    told: dict[str, set[str]] = {request["id"]: set() for request in asked}
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(race(api, n, asked, told)) for n, api in enumerate(racers)]
    seen: Counter[str] = sum((task.result() for task in tasks), Counter())
    wins = {name.removeprefix("won "): count for name, count in seen.items() if "won" in name}
    assert set(wins.values()) == {1}
    await settled(admin, asked)
    called = Counter(received.target for received in upstream.log)
    ends = Counter([await check(admin, request, told[request["id"]], called) for request in asked])
    assert len(wins) == ends["approved"] + ends["denied"]
    assert min(ends["approved"], ends["denied"], ends["expired"]) > 0, ends
    assert ends["expired"] <= REQUESTS // 5, ends
    assert called, "nothing was carried out"
    return set(wins)


async def settled(admin: Api, asked: list[dict[str, Any]]) -> None:
    """Wait until nothing is pending and no call is under way."""
    calls = {request["id"] for request in asked if request["kind"] == "http"}
    async with asyncio.timeout(60):
        while True:
            _, pending = await admin.call("GET", "/api/requests?status=pending,executing&limit=200")
            _, approved = await admin.call(
                "GET", "/api/requests?status=approved&action=http.request&limit=200"
            )
            if not pending["items"] and not calls & {one["id"] for one in approved["items"]}:
                return
            await asyncio.sleep(0.2)


async def check(admin: Api, request: dict[str, Any], told: set[str], called: Counter[str]) -> str:
    """One decision by one person, or one expiry, never both; return which of them.

    :param told: who decided, as everybody was told.
    :param called: how often the upstream was called, by path.
    """
    _, stored = await admin.call("GET", f"/api/requests/{request['id']}")
    _, trail = await admin.call("GET", f"/api/requests/{request['id']}/audit")
    events = Counter(line["event"].removeprefix("request.") for line in trail["items"])
    ends = [name for name in ("approved", "denied", "expired") for _ in range(events[name])]
    assert len(ends) == 1, events
    assert max(events.values()) == 1, events
    assert told == (set() if ends == ["expired"] else {stored["decided_by"]})
    if request["kind"] == "http":
        runs = 1 if ends == ["approved"] else 0
        assert (called[request["path"]], events["claimed"]) == (runs, runs), stored
    return ends[0]
