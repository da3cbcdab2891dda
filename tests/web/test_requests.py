"""The doors of requests: ask, read, wait, list, decide."""

import asyncio
from typing import Any

import pytest

from app.web import views
from app.web.waiters import waiter
from tests.web.conftest import BASE, Door

HOSTILE_HEADERS = {
    "X-Shellgate-Approved": "true", "X-Approved": "true", "X-Assentry-Approved": "1",
    "X-Decided-By": "person:per_1", "X-Forwarded-User": "admin", "X-Original-URL": "/api/people",
    "X-HTTP-Method-Override": "PUT", "X-Role": "admin",
}  # fmt: skip
HOSTILE_FIELDS = (
    "approved", "status", "decision", "decided_by", "decidedBy", "effect", "verdict", "quorum",
    "agent_id", "owner_id", "id", "digest", "valid_until", "approvals", "__proto__", "role",
)  # fmt: skip


@pytest.mark.requirement("REQ-1")
async def test_asking_answers_with_verdict_and_links(any_door: Door) -> None:
    answer = await any_door.ask(params={"to": "bob"}, reason="weekly report")
    body = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == body["links"]["self"] == f"/api/requests/{body['id']}"
    assert body["verdict"]["effect"] == body["effect"] == "review"
    assert body["verdict"]["reasons"]
    assert body["created_at"].endswith("Z")


@pytest.mark.requirement("REQ-1")
async def test_what_is_decided_at_once_is_201(door: Door) -> None:
    await door.world.policy("allow", "allow", {"action": "send_mail"})
    answer = await door.ask()
    assert (answer.status_code, answer.json()["status"]) == (201, "approved")


@pytest.mark.requirement("REQ-1")
async def test_an_idempotency_key_asks_once(any_door: Door) -> None:
    client = await any_door.client("agent")
    headers = {"Idempotency-Key": "one"}
    body = {"action": "send_mail"}
    first, again = [
        await client.post("/api/requests", json=body, headers=headers) for _ in range(2)
    ]
    assert first.json()["id"] == again.json()["id"]
    other = await client.post("/api/requests", json={"action": "x"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


@pytest.mark.parametrize("token", ["", "a b", "x" * 256, "\x7f"])
async def test_a_malformed_idempotency_key_is_400(door: Door, token: str) -> None:
    client = await door.client("agent")
    answer = await client.post(
        "/api/requests", json={"action": "x"}, headers={"Idempotency-Key": token}
    )
    assert answer.status_code == 400


@pytest.mark.requirement("T2", "T22")
@pytest.mark.parametrize("name", HOSTILE_FIELDS)
async def test_an_agent_cannot_send_a_decision(door: Door, name: str) -> None:
    answer = await door.ask(**{name: True})
    assert answer.status_code == 400
    answer = await door.ask(params={name: True}, context={name: "approve"})
    assert answer.json()["status"] == "pending"


@pytest.mark.requirement("T2", "T22")
async def test_approval_looking_headers_have_no_effect(door: Door) -> None:
    client = await door.client("agent")
    answer = await client.post("/api/requests", json={"action": "x"}, headers=HOSTILE_HEADERS)
    body = answer.json()
    assert (answer.status_code, body["status"], body["decided_by"]) == (202, "pending", None)
    ballot = {"decision": "approve", "digest": body["digest"]}
    refused = await client.post(
        f"/api/requests/{body['id']}/decide", json=ballot, headers=HOSTILE_HEADERS
    )
    assert refused.status_code == 403
    assert (await client.get(body["links"]["self"])).json()["status"] == "pending"


@pytest.mark.requirement("DEC-1", "T22")
async def test_the_decider_is_who_authenticated(any_door: Door) -> None:
    asked = (await any_door.ask()).json()
    client = await any_door.client("approver")
    ballot: dict[str, Any] = {"decision": "approve", "digest": asked["digest"], "comment": "fine"}
    address = f"/api/requests/{asked['id']}/decide"
    forged = await client.post(address, json={**ballot, "decided_by": "person:per_x"})
    assert forged.status_code == 400
    after = (await client.post(address, json=ballot)).json()
    assert after["status"] == "approved"
    assert after["decided_by"] == f"person:{any_door.people['approver'].id}"
    again = await (await any_door.client("admin")).post(address, json=ballot)
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")
    assert again.json()["status"] == 409
    assert again.json()["decided_by"] == after["decided_by"]


@pytest.mark.requirement("DEC-1")
async def test_a_stale_digest_decides_nothing(door: Door) -> None:
    asked = (await door.ask()).json()
    client = await door.client("approver")
    ballot = {"decision": "approve", "digest": "0" * 64}
    answer = await client.post(f"/api/requests/{asked['id']}/decide", json=ballot)
    assert (answer.status_code, answer.json()["pointer"]) == (409, "/digest")


@pytest.mark.requirement("T25")
async def test_another_agents_request_is_as_if_it_were_not_there(any_door: Door) -> None:
    asked = (await any_door.ask()).json()
    client = await any_door.client("stranger")
    calls = [
        ("GET", ""), ("GET", "?wait=0"), ("GET", "/result"), ("GET", "/audit"),
        ("GET", "/events"), ("POST", "/cancel"), ("HEAD", ""),
    ]  # fmt: skip
    for method, tail in calls:
        told = []
        for request_id in (asked["id"], "req_00000000000000000000000000"):
            answer = await client.request(method, f"/api/requests/{request_id}{tail}")
            document = answer.json() if method != "HEAD" else {}
            document.pop("instance", None)
            told.append((answer.status_code, document))
        assert told[0] == told[1], (method, tail)
        assert told[0][0] == 404
    assert (await client.get("/api/requests")).json()["items"] == []
    mine = await client.get("/api/requests", params={"agent": any_door.world.agent.id})
    assert mine.json()["items"] == []
    superseding = await client.post(
        "/api/requests", json={"action": "x", "supersedes": asked["id"]}
    )
    assert superseding.status_code == 404


@pytest.mark.requirement("REQ-3")
async def test_pages_lead_to_each_other(any_door: Door) -> None:
    for _ in range(5):
        await any_door.pending()
    client = await any_door.client("agent")
    seen: list[str] = []
    address = "/api/requests?limit=2&status=pending"
    for size in (2, 2, 1):
        answer = await client.get(address)
        assert len(answer.json()["items"]) == size
        seen += [item["id"] for item in answer.json()["items"]]
        link = answer.headers.get("link")
        if link is not None:
            assert link.endswith('>; rel="next"')
            address = link[1:].partition(">")[0]
    assert link is None
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 5


@pytest.mark.requirement("REQ-3")
async def test_a_page_is_whole_however_much_it_holds(
    any_door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is rendered for a page may push what was kept for it out of memory."""
    monkeypatch.setattr(views, "_rendered", views._Rendered(4_000))
    made = [(await any_door.pending()).id for _ in range(8)]
    client = await any_door.client("agent")
    for request_id in made[:3]:
        await client.get(f"/api/requests/{request_id}")
    for _ in range(2):
        page = (await client.get("/api/requests")).json()["items"]
        assert [one["id"] for one in page] == made[::-1]


@pytest.mark.requirement("REQ-3")
@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=201", "limit=-1", "limit=1.0", "limit=abc", "limit=٣", "limit=1&limit=2",
        "status=done", "status=", "urgency=URGENT", "colour=red", "offset=5", "page=2",
        "created_from=yesterday", "created_from=2026-01-31", "created_to=9999-99-99T00:00:00Z",
        "agent=robot", "target=upstream", "agent=%27%20OR%201=1", "target=a%00b",
        "cursor=", "cursor=AAAA", "cursor=%F0%9F%98%80",
        "cursor=" + "A" * 4000,
    ],
)  # fmt: skip
async def test_bad_filters_are_400(any_door: Door, query: str) -> None:
    answer = await (await any_door.client("agent")).get(f"/api/requests?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] in ("invalid_filter", "invalid_cursor")


@pytest.mark.requirement("REQ-3")
async def test_a_cursor_belongs_to_its_list(door: Door) -> None:
    for _ in range(3):
        await door.pending()
    client = await door.client("agent")
    cursor = (await client.get("/api/requests?limit=1")).json()["next"]
    ok = await client.get("/api/requests", params={"limit": "1", "cursor": cursor})
    assert ok.status_code == 200
    for params in ({"status": "denied"}, {"action": "y"}):
        answer = await client.get("/api/requests", params={**params, "cursor": cursor})
        assert answer.json()["code"] == "invalid_cursor"


@pytest.mark.requirement("REQ-4")
async def test_a_long_poll_ends_with_the_decision(door: Door) -> None:
    request = await door.pending()
    client = await door.client("agent")
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        waiting = group.create_task(client.get(f"/api/requests/{request.id}?wait=30"))
        while not door.world.services.store.signals.waiters:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0)
        await door.world.vote(request)
    assert waiting.result().json()["status"] == "approved"


@pytest.mark.requirement("REQ-4")
@pytest.mark.parametrize("query", ["wait=61", "wait=-1", "wait=x", "wait=1&until=never", "until="])
async def test_bad_waits_are_400(door: Door, query: str) -> None:
    request = await door.pending()
    answer = await (await door.client("agent")).get(f"/api/requests/{request.id}?{query}")
    assert answer.status_code == 400


@pytest.mark.requirement("REQ-4")
async def test_prefer_wait_holds_the_answer(door: Door) -> None:
    client = await door.client("agent")
    answer = await client.post("/api/requests", json={"action": "x"}, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=1")


@pytest.mark.requirement("REQ-4", "T67")
async def test_a_wait_that_cannot_be_held_still_tells_what_was_made(door: Door) -> None:
    """A preference is not a demand (RFC 7240): the request exists, so the answer says so."""
    headers = {"Prefer": "wait=5"}
    only_create = await door.client("agent_create")
    answer = await only_create.post("/api/requests", json={"action": "x"}, headers=headers)
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


@pytest.mark.requirement("T67")
async def test_waits_of_a_key_are_bounded(tmp_path: Any) -> None:
    from tests.web.conftest import open_door  # noqa: PLC0415 - with settings of its own

    url = f"sqlite:///{tmp_path / 'test.db'}"
    async with open_door(url, tmp_path, max_waiters_per_key=1) as door:
        request = await door.pending()
        client = await door.client("agent")
        caller = await door.world.services.access.key_caller(door.keys["agent"], "127.0.0.1")
        with waiter(caller, 1):
            answer = await client.get(f"/api/requests/{request.id}?wait=5")
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many_waiters")
            made = await client.post(
                "/api/requests", json={"action": "x"}, headers={"Prefer": "wait=5"}
            )
            assert made.status_code == 202
        assert (await client.get(f"/api/requests/{request.id}?wait=0")).status_code == 200


@pytest.mark.requirement("REQ-5")
async def test_withdrawing(door: Door) -> None:
    request = await door.pending()
    client = await door.client("agent")
    address = f"/api/requests/{request.id}/cancel"
    assert (await client.post(address, json={"note": "no need"})).json()["status"] == "cancelled"
    assert (await client.post(address)).status_code == 409


@pytest.mark.requirement("REQ-3", "AUD-1")
async def test_the_trail_and_the_missing_result(door: Door) -> None:
    request = await door.pending()
    client = await door.client("agent")
    trail = (await client.get(f"/api/requests/{request.id}/audit")).json()
    assert [line["event"] for line in trail["items"]] == ["request.submitted"]
    assert (await client.get(f"/api/requests/{request.id}/result")).status_code == 404


@pytest.mark.requirement("KEY-3")
async def test_limited_keys_see_their_limit(door: Door) -> None:
    _, secret = await door.world.services.agents.create_key(
        door.world.anne, name="slow", scopes=["request:read"], agent_id=door.world.agent.id,
        rate_limit=2,
    )  # fmt: skip
    client = await door.client(headers={"Authorization": f"Bearer {secret}"})
    answers = [await client.get("/api/requests") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"2"}
    assert 1 <= int(answers[2].headers["retry-after"]) <= 120
    assert answers[2].headers["content-type"] == "application/problem+json"
    assert BASE in str(answers[2].url)


@pytest.mark.requirement("DEC-9")
async def test_a_selection_tells_what_came_of_each(any_door: Door) -> None:
    asked = [(await any_door.ask(context={"n": number})).json() for number in range(2)]
    client = await any_door.client("approver")
    items = [{"id": one["id"], "digest": one["digest"]} for one in asked]
    items[1]["digest"] = "0" * 64
    given = {"decision": "deny", "items": items, "comment": "not now"}
    answer = await client.post("/api/decisions", json=given)
    first, second = answer.json()["items"]
    assert answer.status_code == 200
    assert first == {"id": asked[0]["id"], "counted": True, "code": None, "detail": None}
    assert (second["counted"], second["code"]) == (False, "digest_mismatch")
    after = (await client.get(f"/api/requests/{asked[0]['id']}")).json()
    assert (after["status"], after["comment"]) == ("denied", "not now")
    twice = await client.post("/api/decisions", json={**given, "items": [items[0], items[0]]})
    assert (twice.status_code, twice.json()["pointer"]) == (400, "/items")
    assert (await client.post("/api/decisions", json={**given, "items": []})).status_code == 400
