"""Every kind of job: what the store writes is handled, and no job is tried for ever."""

from collections.abc import AsyncGenerator
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.instant import SECOND, Instant
from app.core.jobs import MAX_TRIES, Job, JobKind, backoff
from app.core.lifecycle import TABLE
from app.core.request import Choice
from tests.support.bundles import bundle
from tests.support.upstream import Upstream
from tests.support.world import World, world
from workers.handlers import HANDLERS

pytestmark = pytest.mark.requirement("EXE-1")


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


async def written(place: World) -> list[tuple[str, str]]:
    """Return kind and request of every job in the outbox."""
    statement = text("SELECT kind, request_id FROM jobs ORDER BY id")
    rows = await place.services.store.read(lambda tx: tx.query(statement).fetchall())
    return [(str(row[0]), str(row[1])) for row in rows]


def job_of(kind: JobKind, at: Instant) -> Job:
    return Job(kind, "req_bad", at)


async def make_due(place: World) -> None:
    await place.services.store.write(lambda tx: tx.query(text("UPDATE jobs SET run_at = 0")))


def test_the_life_of_a_request_asks_for_every_kind() -> None:
    """``BUNDLE`` takes the place of ``EXECUTE`` where the request is a bundle."""
    assert {kind for row in TABLE for kind in row.jobs} == set(JobKind) - {JobKind.BUNDLE}


async def test_whatever_is_written_is_handled(place: World) -> None:
    """Walk requests through most of the table, and look at what is left to do each time."""
    async with Upstream() as upstream:
        await place.target(upstream.url)
        await place.policy("reads pass", "allow", {"http.method": {"in": ["GET"]}})
        await place.policy("no puts", "deny", {"http.method": {"in": ["PUT"]}})
        allowed = await place.call("GET", "/echo/1")
        await place.call("PUT", "/echo/2", json={})
        approved = await place.call("POST", "/echo/3", json={})
        await place.vote(approved)
        denied = await place.call("POST", "/echo/4", json={})
        await place.vote(denied, choice=Choice.DENY)
        plain = await place.ask("send_mail")
        await place.vote(plain)
        withdrawn = await place.call("POST", "/echo/5", json={})
        await place.services.decisions.cancel(place.robot, withdrawn.id)
        several = await bundle(place, "GET /echo/6")
        left = await written(place)
        assert {JobKind(kind) for kind, _ in left} <= set(HANDLERS)
        assert left == [
            ("execute", allowed.id), ("execute", approved.id), ("bundle", several.id),
        ]  # fmt: skip
        for kind, request_id in left:
            await HANDLERS[JobKind(kind)](place.services, request_id)
        assert len(upstream.log) == 3
        assert await written(place) == left, "the loop removes them, not the handler"


@pytest.mark.parametrize("kind", list(HANDLERS))
async def test_retries_have_a_bound(place: World, kind: JobKind) -> None:
    store, lane = place.services.store, job_of(kind, Instant(0)).lane
    await store.write(lambda tx: tx.jobs.add(job_of(kind, tx.now)))
    for tries in range(1, MAX_TRIES + 1):
        await make_due(place)
        (job,) = await store.write(lambda tx: tx.jobs.claim(lane, "", 5, 60))
        assert (job.kind, job.tries) == (kind, tries)
        await store.write(lambda tx, job=job: tx.jobs.retry(job, "again"))
    await make_due(place)
    assert await store.write(lambda tx: tx.jobs.claim(lane, "", 5, 60)) == []
    assert await store.read(lambda tx: tx.jobs.next_at(lane)) is None
    assert await store.read(lambda tx: tx.jobs.depth()) == {"dead": 1}


@pytest.mark.requirement("T29")
@pytest.mark.parametrize("kind", list(HANDLERS))
async def test_a_retry_waits(place: World, kind: JobKind) -> None:
    store, lane = place.services.store, job_of(kind, Instant(0)).lane
    await store.write(lambda tx: tx.jobs.add(job_of(kind, tx.now)))
    (job,) = await store.write(lambda tx: tx.jobs.claim(lane, "", 5, 60))
    before = await store.write(lambda tx: tx.now)
    await store.write(lambda tx: tx.jobs.retry(job, "again"))
    assert await store.write(lambda tx: tx.jobs.claim(lane, "", 5, 60)) == []
    due = await store.read(lambda tx: tx.jobs.next_at(lane))
    assert due is not None and due >= before + backoff(1) * SECOND


def test_the_wait_grows_to_a_bound() -> None:
    waits = [backoff(tries) for tries in range(1, 50)]
    assert all(first <= second for first, second in pairwise(waits))
    assert waits[0] > 0 and waits[-1] == waits[MAX_TRIES]
