"""One winner: a thousand requests, eight people at once, two servers, some racing their expiry."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Api
from tests.support.server import Installation, installation
from tests.support.upstream import Upstream

pytestmark = [
    pytest.mark.usefixtures("_clients"),
    pytest.mark.requirement("DEC-1", "T27", "T28", "OPS-1"),
    pytest.mark.timeout(400),
]
REQUESTS = 1000
RACERS = 8
PASSWORD = "several unrelated words 42"


async def people(admin: Api) -> list[str]:
    """Make the racers and return their keys."""
    keys: list[str] = []
    for number in range(RACERS):
        person = await admin.made(
            "/api/people", name=f"racer {number}", email=f"racer{number}@example.org",
            role="approver", password=PASSWORD,
        )  # fmt: skip
        key = await admin.made(
            "/api/keys", name="race", person_id=person["id"],
            scopes=["request:read", "request:decide"],
        )  # fmt: skip
        keys.append(key["secret"])
    return keys


async def ask_all(agent: Api) -> list[dict[str, Any]]:
    """Make the requests: a tenth are calls, a fifth expire while they are raced for."""

    async def ask(number: int) -> dict[str, Any]:
        short = {"expires_in": 4} if number % 5 == 0 else {}
        if number % 10 == 1:
            params = {"method": "POST", "path": f"/echo/{number}", "json": {}}
            return await agent.made(
                "/api/requests", action="http.request", target="upstream", params=params, **short
            )
        return await agent.made("/api/requests", action="race", params={"n": number}, **short)

    made: list[dict[str, Any]] = []
    for start in range(0, REQUESTS, 50):
        numbers = range(start, start + 50)
        made += await asyncio.gather(*(ask(number) for number in numbers))
    return made


async def race(api: Api, number: int, asked: list[dict[str, Any]]) -> Counter[str]:
    """Vote on everything, as fast as it goes, and count what came of it."""
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
            assert answer["status"] in ("approved", "denied", "executing", "succeeded", 409)
        seen[f"won {request['id']}" if status == 200 else answer["code"]] += 1
    return seen


async def test_one_winner(database_url: str, tmp_path: Path) -> None:
    with installation(tmp_path, servers=2, workers=1, database_url=database_url) as place:
        async with Upstream() as upstream:
            await run_the_race(place, upstream)


async def run_the_race(place: Installation, upstream: Upstream) -> None:
    admin = Api(place.base_urls[0], place.admin_key)
    await admin.call("PATCH", f"/api/agents/{place.agent_id}", open_limit=0)
    await admin.made(
        "/api/targets", name="upstream", base_url=upstream.url,
        settings={"networks": ["127.0.0.0/8"]},
    )  # fmt: skip
    keys = await people(admin)
    asked = await ask_all(Api(place.base_urls[1], place.agent_key))
    racers = [Api(place.base_urls[n % 2], key) for n, key in enumerate(keys)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(race(api, n, asked)) for n, api in enumerate(racers)]
    seen: Counter[str] = sum((task.result() for task in tasks), Counter())
    wins = {name.removeprefix("won "): count for name, count in seen.items() if "won" in name}
    assert set(wins.values()) == {1}
    await settled(admin, asked)
    called = Counter(received.target for received in upstream.log)
    assert not called or max(called.values()) == 1
    for request in asked:
        await check(admin, request, won=request["id"] in wins)


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


async def check(admin: Api, request: dict[str, Any], *, won: bool) -> None:
    """One decision in the record, by one person, or one expiry; never both."""
    _, trail = await admin.call("GET", f"/api/requests/{request['id']}/audit")
    events = Counter(line["event"] for line in trail["items"])
    decisions = events["request.approved"] + events["request.denied"]
    assert decisions == (1 if won else 0), events
    if not won:
        assert events["request.expired"] == 1, events
    assert events["request.claimed"] <= 1
    assert max(events.values()) == 1, events
