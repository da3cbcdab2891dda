"""Intake: what agents may ask, and how it is recorded."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core.action import unseal
from app.core.calls import CallNotPermitted, CallRule
from app.core.canonical import digest
from app.core.errors import (
    AgentFrozen,
    AssentryError,
    Forbidden,
    IdempotencyMismatch,
    InvalidAction,
    InvalidField,
    InvalidKey,
    MissingScope,
    NotFound,
    TargetNotPermitted,
    TooManyOpenRequests,
)
from app.core.principals import Permission, Scope
from app.core.request import Choice, Status
from app.services.intake import Asked
from app.store import units
from app.store.tx import Tx
from tests.support.world import World, agent_caller, with_scopes, world

pytestmark = pytest.mark.requirement("REQ-1")


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


@pytest.mark.requirement("REQ-2")
async def test_the_digest_binds_everything_that_was_asked(place: World) -> None:
    request = await place.ask(
        params={"to": "a@example.org", "n": 1.50}, reason="due", context={"run": [1]}
    )
    submission = unseal(request.payload)
    assert (submission.reason, submission.context) == ("due", {"run": [1]})
    assert request.digest == digest(request.payload)
    again = await place.ask(
        params={"n": 1.5, "to": "a@example.org"}, reason="due", context={"run": [1]}
    )
    other = await place.ask(params={"n": 1.5, "to": "b@example.org"}, reason="due")
    assert again.digest == request.digest != other.digest


async def test_no_policy_means_a_person(place: World) -> None:
    request = await place.ask()
    assert request.status is Status.PENDING
    trail = await place.services.requests.trail(place.robot, request.id)
    assert [record.event for record in trail] == ["request.submitted"]


@pytest.mark.requirement("POL-1")
async def test_policies_decide(place: World) -> None:
    await place.policy("yes", "allow", {"action": "read_file"})
    await place.policy("no", "deny", {"action": "drop_table"})
    assert (await place.ask("read_file")).status is Status.APPROVED
    denied = await place.ask("drop_table")
    assert denied.status is Status.DENIED
    assert '"name":"no"' in denied.verdict


BAD: dict[str, dict[str, Any]] = {
    "name": {"action": "Send Mail"},
    "reserved": {"action": "http.get"},
    "long reason": {"reason": "x" * 2001},
    "expiry": {"expires_in": 0},
    "big context": {"context": {"x": "y" * 70_000}},
    "target of a plain action": {"target": "github"},
    "no target": {"action": "http.request", "params": {"method": "GET", "path": "/"}},
    "no method": {"action": "http.request", "params": {"path": "/"}, "target": "t"},
    "bad method": {"action": "http.request", "params": {"method": "TRACE", "path": "/"}},
    "dots": {"action": "http.request", "params": {"method": "GET", "path": "/a/../b"}},
    "two bodies": {
        "action": "http.request",
        "params": {"method": "POST", "path": "/", "text": "", "json": 1},
    },
    "unknown parameter": {
        "action": "http.request",
        "params": {"method": "GET", "path": "/", "follow": True},
    },
    "smuggled header": {
        "action": "http.request",
        "params": {"method": "GET", "path": "/", "headers": {"Host": "evil"}},
    },
    "header type": {
        "action": "http.request",
        "params": {"method": "GET", "path": "/", "headers": {"x": 1}},
    },
    "base64": {
        "action": "http.request",
        "params": {"method": "POST", "path": "/", "base64": "%%"},
    },
}


@pytest.mark.parametrize("what", BAD)
async def test_bad_input_is_refused_and_nothing_is_written(place: World, what: str) -> None:
    fields: dict[str, Any] = {"action": "send_mail", "params": {}, "context": {}, **BAD[what]}
    with pytest.raises((InvalidAction, InvalidField)) as refused:
        await place.services.intake.submit(place.robot, Asked(**fields))
    assert refused.value.pointer
    counts = await place.services.requests.waiting(place.anne)
    assert counts == {}


async def test_unknown_targets_are_not_found(place: World) -> None:
    with pytest.raises(NotFound):
        await place.call("GET", "/", target="nowhere")


@pytest.mark.requirement("KEY-2")
async def test_a_key_permits_what_it_lists(place: World) -> None:
    await place.target("http://127.0.0.1:1")
    listed = (Permission("upstream", ("GET",), ("/repos/**",)),)
    place.robot = agent_caller(place.agent, replace(place.key, permissions=listed))
    assert (await place.call("GET", "/repos/a/b")).status is Status.PENDING
    for method, path, target in (
        ("POST", "/repos/a", "upstream"),
        ("GET", "/users", "upstream"),
        ("GET", "/repos/a", "other"),
    ):
        with pytest.raises(TargetNotPermitted):
            await place.call(method, path, target)


@pytest.mark.requirement("KEY-2", "T45")
async def test_a_key_may_have_calls_taken_out_again(place: World) -> None:
    await place.target("http://127.0.0.1:1")
    listed = (
        Permission("upstream", (), ("/repos/**",)),
        Permission("upstream", ("DELETE",), (), denied=True),
        Permission("upstream", (), ("/repos/*/keys",), denied=True),
    )
    place.robot = agent_caller(place.agent, replace(place.key, permissions=listed))
    assert (await place.call("GET", "/repos/a")).status is Status.PENDING
    for method, path in (
        ("DELETE", "/repos/a"), ("GET", "/repos/a/keys"), ("GET", "/repos/a/KEYS/"),
        ("GET", "/users"),
    ):  # fmt: skip
        with pytest.raises(TargetNotPermitted):
            await place.call(method, path)


@pytest.mark.requirement("GW-5", "T45")
async def test_a_target_takes_what_its_lists_say(place: World) -> None:
    reads, drops = CallRule(("GET", "HEAD"), ("/repos/**",)), CallRule((), ("/repos/*/keys/**",))
    await place.target("http://127.0.0.1:1", allow=(reads,), deny=(drops,))
    await place.policy("yes", "allow", {"action": "http.request"})
    assert (await place.call("GET", "/repos/a")).status is Status.APPROVED
    for method, path in (
        ("POST", "/repos/a"), ("GET", "/users"), ("GET", "/Repos/a"), ("GET", "/repos/a/keys"),
        ("GET", "/repos/a/Keys/1/"),
    ):  # fmt: skip
        with pytest.raises(CallNotPermitted) as refused:
            await place.call(method, path)
        assert refused.value.pointer == "/params/path"
        assert "/repos/*" in refused.value.detail


async def test_only_an_agents_key_with_the_scope_asks(place: World) -> None:
    asked = Asked("send_mail", {}, {})
    with pytest.raises(MissingScope):
        await place.services.intake.submit(with_scopes(place.robot, Scope.REQUEST_READ), asked)
    with pytest.raises(AssentryError):
        await place.services.intake.submit(place.anne, asked)
    person = with_scopes(place.anne, Scope.REQUEST_CREATE)
    with pytest.raises(Forbidden):
        await place.services.intake.submit(person, asked)


@pytest.mark.requirement("KEY-4")
async def test_frozen_agents_and_caps(place: World) -> None:
    place.robot = agent_caller(replace(place.agent, frozen=True), place.key)
    with pytest.raises(AgentFrozen):
        await place.ask()
    place.robot = agent_caller(place.agent, place.key)
    await place.services.agents.update(place.anne, place.agent.id, open_limit=2)
    first = await place.ask()
    await place.ask()
    with pytest.raises(TooManyOpenRequests):
        await place.ask()
    await place.vote(first)
    assert (await place.ask()).status is Status.PENDING


async def test_an_idempotency_key_makes_one_request(place: World) -> None:
    token = {"idempotency_key": "k1", "fingerprint": "f1"}
    first = await place.ask(**token)
    assert (await place.ask(**token)).id == first.id
    with pytest.raises(IdempotencyMismatch):
        await place.ask(**{**token, "fingerprint": "f2"})
    assert (await place.services.requests.waiting(place.anne)) == {Status.PENDING: 1}


@pytest.mark.requirement("REQ-5")
async def test_a_revision_supersedes(place: World) -> None:
    first = await place.ask()
    second = await place.ask(supersedes=first.id, reason="better")
    assert (await place.get(first)).status is Status.CANCELLED
    assert second.status is Status.PENDING
    with pytest.raises(AssentryError):
        await place.ask(supersedes=first.id)
    with pytest.raises(NotFound):
        await place.ask(supersedes="req_none")
    assert (await place.services.requests.waiting(place.anne)) == {Status.PENDING: 1}


async def test_a_refusal_comes_before_anything_is_written(
    place: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all that is recorded in the same commit would be run again, one by one (T67)."""
    agents, limited = place.services.agents, replace(place.agent, rate="9/hour")
    await agents.update(place.anne, place.agent.id, open_limit=2, rate="9/hour")
    place.robot = agent_caller(limited, place.key)
    decided, _ = await place.ask(), await place.ask()
    once, written = units._one, list[bool]()

    def seen(tx: Tx, unit: units.Unit) -> units.Result:
        try:
            return once(tx, unit)
        finally:
            written.append(tx.touched)

    async def refused(code: str, **fields: str) -> None:
        monkeypatch.setattr(units, "_one", seen)
        with pytest.raises(AssentryError) as caught:
            await place.ask(idempotency_key=f"k{len(written)}", fingerprint="f", **fields)
        monkeypatch.undo()
        assert (caught.value.code, written.pop()) == (code, False)

    await refused("too_many_open_requests")
    await place.vote(decided, choice=Choice.DENY)
    await refused("not_found", supersedes="req_none")
    await refused("illegal_transition", supersedes=decided.id)
    assert (await place.ask(idempotency_key="k0", fingerprint="f")).status is Status.PENDING


@pytest.mark.requirement("POL-2")
async def test_counters_are_facts(place: World) -> None:
    await place.policy("flood", "deny", {"counters.agent_pending": {"gte": 2}})
    statuses = [(await place.ask()).status for _ in range(3)]
    assert statuses == [Status.PENDING, Status.PENDING, Status.DENIED]


@pytest.mark.requirement("POL-2", "T66")
async def test_what_is_counted_is_not_counted_twice(place: World) -> None:
    await place.policy("a few", "allow", {"counters.agent_hour": {"lt": 3}})
    made = await asyncio.gather(*(place.ask("send_mail") for _ in range(20)))
    assert sum(request.status is Status.APPROVED for request in made) == 3


@pytest.mark.requirement("KEY-1", "T26")
async def test_a_key_that_another_process_revoked_asks_nothing(place: World) -> None:
    caller = place.robot
    await place.services.agents.revoke_key(place.anne, place.key.id)
    place.robot = caller
    with pytest.raises(InvalidKey):
        await place.ask("send_mail")
