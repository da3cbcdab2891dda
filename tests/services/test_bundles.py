"""Bundles: every call judged, left out by whoever says so, run once, and told truly."""

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.core.bundle import CallStatus
from app.core.calls import CallNotPermitted, CallRule
from app.core.errors import (
    InUse,
    InvalidAction,
    InvalidField,
    NotFound,
    TargetNotPermitted,
)
from app.core.principals import Caller, Permission
from app.core.request import Ballot, Choice, Request, Status
from app.services.bundles import Work
from app.store.tx import Tx
from tests.support.bundles import bundle, outcome, run, statuses, targets
from tests.support.upstream import Upstream
from tests.support.world import FakeClock, World, world

pytestmark = pytest.mark.requirement("REQ-8")


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


async def approve(
    place: World, request: Request, *excluded: int, who: Caller | None = None
) -> Request:
    ballot = Ballot(Choice.APPROVE, request.digest, "looked", "api", excluded=excluded)
    return await place.services.decisions.cast(who or place.anne, request.id, ballot)


async def asked(place: World, upstream: Upstream, *paths: str, **params: Any) -> Request:
    await place.target(upstream.url)
    return await bundle(place, *paths, **params)


# --- asking ---


async def test_it_is_one_request_bound_to_every_call(place: World, upstream: Upstream) -> None:
    request = await asked(place, upstream, "/echo/1", "/echo/2")
    assert (request.status, request.target_name) == (Status.PENDING, "upstream")
    document = json.loads(request.payload)
    assert [call["path"] for call in document["params"]["calls"]] == ["/echo/1", "/echo/2"]
    assert {call["target"]["revision"] for call in document["params"]["calls"]} == {1}
    assert await statuses(place, request) == ["waiting", "waiting"]
    again = await bundle(place, "/echo/1", "/echo/2", context={})
    assert again.id != request.id and again.digest != request.digest


CALL = {"method": "POST", "path": "/echo"}
REFUSED: dict[str, tuple[dict[str, Any], str, type[Exception]]] = {
    "no calls": ({"calls": []}, "/params/calls", InvalidAction),
    "too many": ({"calls": [CALL] * 51}, "/params/calls", InvalidAction),
    "no list": ({"calls": CALL}, "/params/calls", InvalidAction),
    "another field": ({"calls": [CALL], "x": 1}, "/params/x", InvalidAction),
    "a word": ({"calls": [CALL], "on_failure": "hope"}, "/params/on_failure", InvalidAction),
    "a text": ({"calls": [CALL, "x"]}, "/params/calls/1", InvalidAction),
    "a method": (
        {"calls": [CALL, {**CALL, "method": "post"}]}, "/params/calls/1/method", InvalidAction,
    ),
    "dot segments": ({"calls": [{**CALL, "path": "/a/../b"}]}, "/params/calls/0/path",
                     InvalidAction),
    "a header": (
        {"calls": [CALL, {**CALL, "headers": {"host": "x"}}]}, "/params/calls/1/headers",
        InvalidAction,
    ),
    "two bodies": ({"calls": [{**CALL, "json": 1, "text": ""}]}, "/params/calls/0/text",
                   InvalidAction),
    "a note": ({"calls": [{**CALL, "note": "x" * 501}]}, "/params/calls/0/note", InvalidAction),
    "a number as target": ({"calls": [{**CALL, "target": 1}]}, "/params/calls/0/target",
                           InvalidAction),
    "no such target": ({"calls": [CALL, {**CALL, "target": "none"}]}, "/params/calls/1/target",
                       NotFound),
    "not taken there": ({"calls": [CALL, {**CALL, "method": "DELETE"}]}, "/params/calls/1/method",
                        InvalidField),
    "too large": ({"calls": [{**CALL, "text": "x" * 3_000_000}] * 2}, "/params/calls",
                  InvalidAction),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
async def test_every_call_passes_every_check(tmp_path: Path, what: str) -> None:
    params, pointer, error = REFUSED[what]
    async with world(f"sqlite:///{tmp_path / 'test.db'}", tmp_path) as place:
        await place.target("http://127.0.0.1:1", methods=("GET", "POST"))
        with pytest.raises(error) as refused:
            await place.ask("http.bundle", target="upstream", params=params)
    found = getattr(refused.value, "pointer", "")
    assert found.startswith(pointer)
    assert "/calls/" not in pointer or "call " in str(refused.value)


async def test_the_keys_permissions_hold_for_each_call(place: World, upstream: Upstream) -> None:
    await place.target(upstream.url)
    key = replace(place.key, permissions=(Permission("upstream", ("POST",), ("/echo/*",)),))
    narrow = replace(place.robot, key=key)
    place.robot = narrow
    await bundle(place, "/echo/1")
    with pytest.raises(TargetNotPermitted) as refused:
        await bundle(place, "/echo/1", "/status/200")
    assert refused.value.pointer == "/params/calls/1/target"


@pytest.mark.requirement("GW-5", "KEY-2")
async def test_lists_of_calls_hold_for_each_call(place: World, upstream: Upstream) -> None:
    await place.target(upstream.url, deny=(CallRule((), ("/echo/secret",)),))
    await bundle(place, "/echo/1", "/echo/2")
    for spelling in ("/echo/secret", "/echo/Secret/"):
        with pytest.raises(CallNotPermitted) as refused:
            await bundle(place, "/echo/1", spelling)
        assert refused.value.pointer == "/params/calls/1/path"
    out = Permission("upstream", ("DELETE",), (), denied=True)
    key = replace(place.key, permissions=(Permission("upstream", (), ()), out))
    place.robot = replace(place.robot, key=key)
    await bundle(place, "/echo/1", "PUT /echo/3")
    with pytest.raises(TargetNotPermitted) as taken:
        await bundle(place, "/echo/1", "DELETE /echo/3")
    assert taken.value.pointer == "/params/calls/1/target"


async def test_a_target_of_a_call_is_in_use(place: World, upstream: Upstream) -> None:
    await targets(place, upstream, "one", "two")
    request = await bundle(place, "one:/echo/1", "two:/echo/2")
    assert request.target_name is None
    found = await place.services.store.read(lambda tx: tx.targets.named("two"))
    assert found is not None
    with pytest.raises(InUse):
        await place.services.targets.delete(place.anne, found.id)


# --- policy ---


async def test_the_strictest_call_decides(place: World, upstream: Upstream) -> None:
    await place.policy("reads", "allow", {"http.method": "GET"})
    await place.policy("no deletes", "deny", {"http.method": "DELETE"})
    reads = await asked(place, upstream, "GET /echo/1", "GET /echo/2")
    assert (reads.status, json.loads(reads.verdict)["effect"]) == (Status.APPROVED, "allow")
    mixed = await bundle(place, "GET /echo/1", "POST /echo/2")
    assert mixed.status is Status.PENDING
    assert any(line.startswith("call 2: ") for line in json.loads(mixed.verdict)["reasons"])
    denied = await bundle(place, "GET /echo/1", "POST /echo/2", "DELETE /echo/3")
    assert denied.status is Status.DENIED
    assert json.loads(denied.verdict)["reasons"][0].startswith("call 3: ")
    assert await statuses(place, denied) == ["skipped"] * 3
    assert await run(place, reads) is Status.SUCCEEDED


async def test_a_policy_made_since_is_heeded(place: World, upstream: Upstream) -> None:
    request = await approve(place, await asked(place, upstream, "POST /echo/1", "DELETE /echo/2"))
    await place.policy("no deletes", "deny", {"http.method": "DELETE"})
    assert await run(place, request) is Status.CANCELLED
    assert upstream.log == []


async def test_a_call_that_is_left_out_needs_no_leave(place: World, upstream: Upstream) -> None:
    request = await asked(place, upstream, "POST /echo/1", "DELETE /echo/2")
    await approve(place, request, 2)
    await place.policy("no deletes", "deny", {"http.method": "DELETE"})
    assert await run(place, request) is Status.SUCCEEDED
    assert await statuses(place, request) == ["succeeded", "excluded"]


# --- running ---


@pytest.mark.requirement("EXE-1")
async def test_the_calls_run_once_in_order(place: World, upstream: Upstream) -> None:
    request = await approve(place, await asked(place, upstream, "/echo/1", "/echo/2", "/echo/3"))
    for _ in range(3):
        assert await run(place, request) is Status.SUCCEEDED
    assert [one.target for one in upstream.log] == ["/echo/1", "/echo/2", "/echo/3"]
    assert await outcome(place, request) == {"code": "ok", "calls": 3, "succeeded": 3}
    result = await place.services.requests.call_result(place.robot, request.id, 2)
    assert result is not None and b"/echo/2" in result.body
    trail = await place.services.requests.trail(place.robot, request.id)
    assert [one.details["number"] for one in trail if one.event == "request.advanced"] == [1, 2, 3]
    with pytest.raises(NotFound):
        await place.services.requests.call_result(place.robot, request.id, 4)


@pytest.mark.parametrize(
    ("on_failure", "stands", "called"),
    [
        ("stop", ["succeeded", "failed", "skipped"], 2),
        ("continue", ["succeeded", "failed", "succeeded"], 3),
    ],
)
async def test_a_failure_stops_the_rest_or_does_not(
    place: World, upstream: Upstream, on_failure: str, stands: list[str], called: int
) -> None:
    request = await asked(
        place, upstream, "/echo/1", "/status/500", "/echo/3", on_failure=on_failure
    )
    assert await run(place, await approve(place, request)) is Status.FAILED
    assert await statuses(place, request) == stands
    assert len(upstream.log) == called
    assert (await outcome(place, request))["code"] == "calls_failed"


async def test_doubt_stops_it_for_a_person(place: World, upstream: Upstream) -> None:
    request = await asked(
        place, upstream, "/echo/1", "/truncated", "/echo/3", on_failure="continue"
    )
    assert await run(place, await approve(place, request)) is Status.UNKNOWN
    assert await run(place, request) is Status.UNKNOWN
    assert await statuses(place, request) == ["succeeded", "unknown", "skipped"]
    assert len(upstream.log) == 2


@pytest.mark.parametrize(
    ("paths", "ran", "status", "stands"),
    [
        (("/echo/1", "/truncated"), True, Status.SUCCEEDED, ["succeeded", "succeeded"]),
        (("/echo/1", "/truncated"), False, Status.FAILED, ["succeeded", "failed"]),
        (("/truncated", "/echo/2"), True, Status.FAILED, ["succeeded", "skipped"]),
    ],
)
async def test_a_person_says_whether_the_call_in_doubt_ran(
    place: World, upstream: Upstream, paths: tuple[str, ...], ran: bool, status: Status,
    stands: list[str],
) -> None:  # fmt: skip
    request = await approve(place, await asked(place, upstream, *paths))
    assert await run(place, request) is Status.UNKNOWN
    settled = await place.services.decisions.settle(place.anne, request.id, ran=ran, note="looked")
    assert settled.status is status
    assert await statuses(place, request) == stands
    assert json.loads(settled.outcome or "{}")["calls"] == 2


async def test_nothing_sent_is_tried_again_from_that_call(place: World, upstream: Upstream) -> None:
    await place.target(upstream.url)
    await place.target("http://127.0.0.1:1", "gone")
    request = await approve(place, await bundle(place, "upstream:/echo/1", "gone:/echo/2"))
    assert [await run(place, request) for _ in range(3)] == [
        Status.APPROVED, Status.APPROVED, Status.FAILED,
    ]  # fmt: skip
    assert await statuses(place, request) == ["succeeded", "failed"]
    assert len(upstream.log) == 1


@pytest.mark.requirement("T29")
@pytest.mark.parametrize("is_sent", [False, True])
async def test_a_lost_worker(
    database_url: str, tmp_path: Path, upstream: Upstream, is_sent: bool
) -> None:
    clock = FakeClock()
    async with world(database_url, tmp_path, clock=clock) as place:
        request = await approve(place, await asked(place, upstream, "/echo/1", "/echo/2"))
        bundles, store = place.services.bundles, place.services.store
        work = await store.write(lambda tx: bundles.claim(tx, request.id))
        assert isinstance(work, Work)
        first = work.calls[0]
        report = await bundles._attempt(first)
        assert await store.write(lambda tx: bundles._finish(tx, work, first, report))
        if is_sent:
            await bundles._mark(work.calls[1])
        clock.move(120)
        assert await place.services.sweeps.tick() == 1
        after = await run(place, request)
        assert after is (Status.UNKNOWN if is_sent else Status.SUCCEEDED)
        ended = "unknown" if is_sent else "succeeded"
        assert await statuses(place, request) == ["succeeded", ended]
        assert len(upstream.log) == (1 if is_sent else 2)
        await bundles.carry_out(work)
        assert len(upstream.log) == (1 if is_sent else 2), "a stale holder sends nothing"


async def test_what_changes_meanwhile_stops_the_next_call(
    database_url: str, tmp_path: Path, upstream: Upstream
) -> None:
    clock = FakeClock()
    async with world(database_url, tmp_path, clock=clock) as place:
        await place.target(upstream.url)
        stops = {
            "agent_frozen": "UPDATE agents SET frozen = true",
            "target_changed": "UPDATE targets SET revision = revision + 1",
            "grant_over": "",
        }
        made = [await approve(place, await bundle(place, "/echo/1", "/echo/2")) for _ in stops]
        undo = {"agent_frozen": "UPDATE agents SET frozen = false",
                "target_changed": "UPDATE targets SET revision = 1"}  # fmt: skip
        bundles, store = place.services.bundles, place.services.store
        for request, (code, statement) in zip(made, stops.items(), strict=True):
            work = await store.write(lambda tx, name=request.id: bundles.claim(tx, name))
            assert isinstance(work, Work)
            if statement:
                await store.write(lambda tx, s=statement: tx.query(text(s)) and None)
            else:
                clock.move(900)
            await bundles.carry_out(work)
            states = await store.read(lambda tx, name=request.id: tx.bundles.of(name))
            assert json.loads(states[0].outcome or "{}")["code"] == code
            assert [state.status for state in states] == [CallStatus.FAILED, CallStatus.SKIPPED]
            if code in undo:
                await store.write(lambda tx, s=undo[code]: tx.query(text(s)) and None)
    assert upstream.log == []


# --- leaving out ---


async def test_one_vote_that_leaves_a_call_out_is_enough(place: World, upstream: Upstream) -> None:
    await place.policy("two", "review", {"http.method": "POST"}, route={"quorum": 2})
    request = await asked(place, upstream, "/echo/1", "/echo/2", "/echo/3")
    await approve(place, request, 1)
    with pytest.raises(InvalidField, match="no call to run"):
        await approve(place, request, 2, 3, who=place.ben)
    assert (await approve(place, request, 2, who=place.ben)).status is Status.APPROVED
    assert await run(place, request) is Status.SUCCEEDED
    assert await statuses(place, request) == ["excluded", "excluded", "succeeded"]
    assert [one.target for one in upstream.log] == ["/echo/3"]
    assert await outcome(place, request) == {
        "code": "ok", "calls": 3, "excluded": 2, "succeeded": 1,
    }  # fmt: skip
    votes = await place.services.requests.votes(place.anne, request.id)
    assert [vote.ballot.excluded for vote in votes] == [(1,), (2,)]
    trail = await place.services.requests.trail(place.anne, request.id)
    assert [one.details["except"] for one in trail if "except" in one.details] == [[1], [2]]


async def test_what_cannot_be_left_out(place: World, upstream: Upstream) -> None:
    request = await asked(place, upstream, "/echo/1", "/echo/2")
    plain = await place.ask()
    for excluded in ((1, 2), (0,), (3,)):
        with pytest.raises(InvalidField):
            await approve(place, request, *excluded)
    with pytest.raises(InvalidField, match="only calls of a bundle"):
        await approve(place, plain, 1)
    denial = Ballot(Choice.DENY, request.digest, "", "api", excluded=(1,))
    with pytest.raises(InvalidField, match="leaves nothing out"):
        await place.services.decisions.cast(place.anne, request.id, denial)
    assert (await place.get(request)).status is Status.PENDING


TAMPERED = {
    "an excluded call waits": "UPDATE request_items SET status = 'waiting' WHERE number = 2",
    "an excluded call ran": "UPDATE request_items SET status = 'succeeded' WHERE number = 2",
    "a call ran": "UPDATE request_items SET status = 'succeeded' WHERE number = 1",
    "another target": "UPDATE request_items SET target_id = 'tgt_x' WHERE number = 1",
    "a call is gone": "DELETE FROM request_items WHERE number = 3",
    "a call is left out": "UPDATE request_items SET status = 'excluded' WHERE number = 1",
    "a call is in doubt": "UPDATE request_items SET status = 'unknown' WHERE number = 1",
}


@pytest.mark.requirement("T1", "T3")
@pytest.mark.parametrize("what", TAMPERED)
async def test_changed_rows_do_not_change_what_runs(
    place: World, upstream: Upstream, what: str
) -> None:
    request = await asked(place, upstream, "/echo/1", "/echo/2", "/echo/3")
    await approve(place, request, 2)

    def tamper(tx: Tx) -> None:
        open_to_changes(tx)
        tx.query(text(TAMPERED[what]))

    await place.services.store.write(tamper)
    after = await run(place, request)
    if what == "an excluded call waits":
        assert after is Status.SUCCEEDED
        assert [one.target for one in upstream.log] == ["/echo/1", "/echo/3"]
    else:
        assert after is Status.CANCELLED and upstream.log == []


@pytest.mark.requirement("T1", "EXE-1")
async def test_a_call_that_ran_is_not_run_again_though_its_row_says_so(
    database_url: str, tmp_path: Path, upstream: Upstream
) -> None:
    clock = FakeClock()
    async with world(database_url, tmp_path, clock=clock) as place:
        request = await approve(place, await asked(place, upstream, "/echo/1", "/echo/2"))
        bundles, store = place.services.bundles, place.services.store
        work = await store.write(lambda tx: bundles.claim(tx, request.id))
        assert isinstance(work, Work)
        first = work.calls[0]
        report = await bundles._attempt(first)
        await store.write(lambda tx: bundles._finish(tx, work, first, report))
        clock.move(120)
        await place.services.sweeps.tick()

        def tamper(tx: Tx) -> None:
            open_to_changes(tx)
            tx.query(text("UPDATE request_items SET status = 'waiting'"))

        await store.write(tamper)
        assert await run(place, request) is Status.CANCELLED
        assert len(upstream.log) == 1


def open_to_changes(tx: Tx) -> None:
    """Do what somebody with the database's password could do."""
    if tx.engine == "postgresql":
        tx.query(text("SET LOCAL session_replication_role = replica"))
        return
    find = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'request_items'"
    for (name,) in tx.query(text(find)).all():
        tx.query(text(f'DROP TRIGGER "{name}"'))
