"""Lanes of jobs and the turns of agents in them, on both engines."""

from collections.abc import AsyncGenerator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from app.core.action import Urgency
from app.core.instant import Instant
from app.core.jobs import MAX_TRIES, Job, JobKind, Lane
from app.store.jobs import ClaimedJob, Share
from app.store.tx import Tx
from tests.support.postgres import PostgresServer
from tests.support.templates import prepare
from tests.support.world import World, world

pytestmark = pytest.mark.requirement("EXE-7")

MANY = 1 << 20


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


async def add(
    place: World,
    agent: str,
    *names: str,
    kind: JobKind = JobKind.EXECUTE,
    decided: bool = False,
    urgency: Urgency = Urgency.NORMAL,
) -> None:
    def write(tx: Tx) -> None:
        for name in names:
            tx.add_job(Job(kind, name, tx.now, agent, decided, urgency))

    await place.services.store.write(write)


async def take(
    place: World,
    most: int,
    lane: Lane = Lane.ALLOWED,
    limit: int = MANY,
    held: dict[str, int] | None = None,
    after: str | None = None,
) -> list[ClaimedJob]:
    share = Share(limit, held or {}, after)
    return await place.services.store.write(lambda tx: tx.jobs.take(lane, most, 60, share))


def names(jobs: list[ClaimedJob]) -> list[str]:
    return [job.request_id for job in jobs]


@pytest.mark.parametrize("kind", list(JobKind))
async def test_a_lane_has_what_is_its_own(place: World, kind: JobKind) -> None:
    await add(place, "agt_1", "req_1", kind=kind)
    lane = Job(kind, "", Instant(0)).lane
    for other in set(Lane) - {lane}:
        assert await take(place, 9, other) == []
    assert names(await take(place, 9, lane)) == ["req_1"]


async def test_what_people_approved_does_not_wait_with_what_policies_allowed(place: World) -> None:
    await add(place, "agt_1", *[f"req_{number}" for number in range(20)])
    await add(place, "agt_1", "req_approved", decided=True)
    assert names(await take(place, 4, Lane.DECIDED)) == ["req_approved"]


async def test_asking_goes_before_refreshing(place: World) -> None:
    await add(place, "agt_1", "req_1", kind=JobKind.REFRESH)
    await add(place, "agt_1", "req_2", kind=JobKind.NOTIFY)
    await add(place, "agt_1", "req_3", kind=JobKind.ALARM)
    assert names(await take(place, 9, Lane.ASK)) == ["req_3", "req_2", "req_1"]


async def test_urgency_counts_among_the_jobs_of_one_agent_alone(place: World) -> None:
    await add(place, "agt_1", "req_low", urgency=Urgency.LOW)
    await add(place, "agt_1", *[f"req_c{at}" for at in range(9)], urgency=Urgency.CRITICAL)
    await add(place, "agt_2", "req_normal")
    assert names(await take(place, 2)) == ["req_c0", "req_normal"]
    assert "req_low" not in names(await take(place, 7))
    assert names(await take(place, 9)) == ["req_c8", "req_low"]


async def test_a_flood_of_one_agent_leaves_the_other_its_turn(place: World) -> None:
    await add(place, "agt_1", *[f"req_{at:03}" for at in range(200)])
    await add(place, "agt_2", "req_other")
    assert "req_other" in names(await take(place, 2))


async def test_turns_go_round(place: World) -> None:
    for agent in "abc":
        await add(place, f"agt_{agent}", f"req_{agent}1", f"req_{agent}2")
    after, seen = None, list[str]()
    for _ in range(6):
        (job,) = await take(place, 1, after=after)
        after = job.agent_id
        seen.append(job.request_id)
    assert seen == ["req_a1", "req_b1", "req_c1", "req_a2", "req_b2", "req_c2"]


async def test_who_has_enough_in_work_is_passed_over(place: World) -> None:
    await add(place, "agt_1", "req_1", "req_2", "req_3")
    await add(place, "agt_2", "req_4", "req_5", "req_6")
    found = names(await take(place, 9, limit=2, held={"agt_1": 2}))
    assert found == ["req_4", "req_5"]
    assert names(await take(place, 9, limit=2, held={"agt_1": 1, "agt_2": 2})) == ["req_1"]


async def test_any_number_of_stalled_agents_is_passed_over(place: World) -> None:
    stalled = [f"agt_{number:03}" for number in range(150)]
    for agent in stalled:
        await add(place, agent, f"req_{agent}")
    await add(place, "agt_x", "req_free")
    held = dict.fromkeys(stalled, 1)
    for after in (None, "agt_070", "agt_x", "zzz"):
        assert names(await take(place, 9, limit=1, held=held, after=after)) == ["req_free"]
        await place.services.store.write(lambda tx: tx.query(text("UPDATE jobs SET run_at = 0")))
    assert names(await take(place, 9, limit=1, held=held)) == ["req_free"]


async def test_what_runs_elsewhere_counts_by_who_decided_it(place: World) -> None:
    store, agent = place.services.store, place.agent.id
    request = await place.ask("send_mail")
    await store.write(
        lambda tx: tx.query(
            text("UPDATE requests SET status = 'executing' WHERE id = :id"
                 ).bindparams(id=request.id))
    )  # fmt: skip
    await add(place, agent, "req_allowed")
    await add(place, agent, "req_decided", decided=True)
    assert await take(place, 9, Lane.DECIDED, limit=1) == []
    assert names(await take(place, 9, Lane.ALLOWED, limit=1)) == ["req_allowed"]


async def test_order_is_in_the_database(place: World) -> None:
    await add(place, "agt_1", *[f"req_{at}" for at in range(6)])
    first = await take(place, 2)
    assert names(first) == ["req_0", "req_1"]
    assert names(await take(place, 2)) == ["req_2", "req_3"]
    for job in first:
        await place.services.store.write(lambda tx, job=job: tx.jobs.postpone(job, -1))
    assert names(await take(place, 9)) == ["req_0", "req_1", "req_4", "req_5"]


async def test_the_dead_lie_in_nobodys_way(place: World) -> None:
    await add(place, "agt_1", "req_1", "req_2")
    store = place.services.store
    await store.write(lambda tx: tx.query(text(f"UPDATE jobs SET tries = {MAX_TRIES - 1}")))
    (job,) = await take(place, 1)
    await store.write(lambda tx: tx.jobs.retry(job, "worn"))
    await store.write(lambda tx: tx.query(text("UPDATE jobs SET run_at = 0")))
    assert names(await take(place, 9)) == ["req_2"]


async def test_what_waits_is_counted_by_lane(place: World) -> None:
    before = await place.services.store.write(lambda tx: tx.now)
    await add(place, "agt_1", "req_1", "req_2", "req_3")
    await add(place, "agt_2", "req_4")
    await add(place, "agt_1", "req_5", kind=JobKind.NOTIFY)
    await take(place, 1)
    found = await place.services.store.write(lambda tx: tx.jobs.waiting())
    assert {lane: item.due for lane, item in found.items()} == {
        Lane.DECIDED: 0, Lane.ASK: 1, Lane.ANNOUNCE: 0, Lane.ALLOWED: 3,
    }  # fmt: skip
    assert found[Lane.DECIDED].since is None
    assert (found[Lane.ALLOWED].since or 0) >= before
    place_of = await place.services.store.write(lambda tx: tx.jobs.place("req_3"))
    assert place_of is not None and place_of[1] == 2
    assert await place.services.store.write(lambda tx: tx.jobs.place("req_1")) is None


@pytest.mark.requirement("T29")
async def test_no_more_is_taken_than_was_asked_for_whatever_the_plan(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    with postgres.database() as url:
        prepare(url)
        with psycopg.connect(url, autocommit=True) as connection:
            name = sql.Identifier(connection.info.dbname)
            for way in ("hashagg", "hashjoin", "mergejoin", "sort", "material"):
                setting = sql.SQL("ALTER DATABASE {} SET {} = off")
                connection.execute(setting.format(name, sql.Identifier(f"enable_{way}")))
        async with world(url, tmp_path) as place:
            await add(place, "agt_1", "req_1", "req_2", "req_3")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("ANALYZE jobs")
            taken = [names(await take(place, 1)) for _ in range(4)]
            assert taken == [["req_1"], ["req_2"], ["req_3"], []]
