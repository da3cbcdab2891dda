"""The write queue: writes at one account, with one comment, decided together (SVC-4)."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from integrations.sheet import Fitting, sheet_of
from tests.support.upstream import Upstream
from tests.web.conftest import Door
from tests.web.test_doors import administrator
from tests.web.test_openapi import check

pytestmark = pytest.mark.requirement("SVC-4", "REQ-8")

QUEUE = "/api/queue/{target}"
ACCOUNT = "/api/queue/{service}/{account}"


@pytest.fixture
async def upstream() -> AsyncGenerator[Upstream, None]:
    async with Upstream() as running:
        yield running


async def submit(door: Door, upstream: Upstream, *requests: dict[str, Any], **more: Any) -> Any:
    """Submit writes at the account ``acme`` of the service ``github``."""
    await door.world.target(upstream.url, "github.acme")
    agent = await door.client("agent")
    body = {"comment": "as agreed", "requests": list(requests), **more}
    answer = await agent.post("/api/queue/github/acme/submit", json=body)
    assert answer.status_code == 202, answer.text
    return check(answer, "POST", f"{ACCOUNT}/submit")


async def test_from_submission_to_the_answers(any_door: Door, upstream: Upstream) -> None:
    door = any_door
    made = await submit(
        door, upstream,
        {"method": "post", "path": "echo/1", "body": {"a": 1}, "note": "first"},
        {"method": "PUT", "path": "/echo/2", "body": "text", "headers": {"content-type": "a/b"}},
        {"method": "PATCH", "path": "/echo/3", "binaryBase64": "AAH/"},
        {"method": "DELETE", "path": "/echo/4"},
    )  # fmt: skip
    home = f"/api/queue/github/acme/status/{made['id']}"
    agent, approver = await door.client("agent"), await door.client("approver")
    assert (made["status"], made["reason"], made["kind"]) == ("pending", "as agreed", "bundle")
    assert [item["status"] for item in made["items"]] == ["waiting"] * 4
    assert made["items"][0]["note"] == "first" and made["items"][0]["path"] == "/echo/1"
    ballot = {"decision": "approve", "digest": made["digest"], "except": [4, 4]}
    answer = await approver.post(f"/api/requests/{made['id']}/decide", json=ballot)
    check(answer, "POST", "/api/requests/{request_id}/decide")
    await door.world.services.bundles.run(made["id"])
    after = check(await agent.get(home), "GET", f"{ACCOUNT}/status/{{request_id}}")
    assert after["status"] == "succeeded"
    assert [item["status"] for item in after["items"]] == [*["succeeded"] * 3, "excluded"]
    assert [one.body for one in upstream.log] == [b'{"a":1}', b"text", b"\x00\x01\xff"]
    assert upstream.log[0].header("content-type") == ["application/json"]
    found = await agent.get(after["items"][1]["result"])
    result = check(found, "GET", "/api/requests/{request_id}/items/{number}/result")
    assert result["status"] == 200
    assert (await agent.get(after["items"][3]["result"])).status_code == 404
    assert (await agent.get(f"/api/requests/{made['id']}/items/x/result")).status_code == 404


async def test_the_default_account_is_the_service_itself(door: Door, upstream: Upstream) -> None:
    await door.world.target(upstream.url, "github")
    agent = await door.client("agent")
    body = {"requests": [{"method": "POST", "path": "/echo"}]}
    for address in ("/api/queue/github/default/submit", "/api/queue/github/submit"):
        answer = await agent.post(address, json={**body, "comment": address})
        assert answer.json()["target"] == "github"
    made = check(answer, "POST", f"{QUEUE}/submit")
    status = await agent.get(f"/api/queue/github/status/{made['id']}")
    check(status, "GET", f"{QUEUE}/status/{{request_id}}")
    assert (await agent.get(f"/api/queue/other/status/{made['id']}")).status_code == 404


async def test_the_list_is_ones_own_and_goes_on(door: Door, upstream: Upstream) -> None:
    await submit(door, upstream, {"method": "POST", "path": "/echo/1"})
    agent = await door.client("agent")
    body = {"requests": [{"method": "POST", "path": "/echo/2"}]}
    await agent.post("/api/queue/github/acme/submit", json=body)
    await door.ask()
    first = check(await agent.get("/api/queue?limit=1"), "GET", "/api/queue")
    second = (await agent.get(f"/api/queue?limit=1&cursor={first['next']}")).json()
    assert [len(page["items"]) for page in (first, second)] == [1, 1] and not second["next"]
    assert {page["items"][0]["kind"] for page in (first, second)} == {"bundle"}
    stranger = await door.client("stranger")
    assert (await stranger.get("/api/queue")).json()["items"] == []
    name = first["items"][0]["id"]
    assert (await stranger.get(f"/api/queue/github/acme/status/{name}")).status_code == 404
    assert (await agent.get("/api/queue?action=x")).status_code == 400


async def test_it_can_be_taken_back(door: Door, upstream: Upstream) -> None:
    made = await submit(door, upstream, {"method": "POST", "path": "/echo/1"})
    agent, stranger = await door.client("agent"), await door.client("stranger")
    home = f"/api/queue/github/acme/status/{made['id']}/withdraw"
    assert (await stranger.post(home, json={})).status_code == 404
    answer = await agent.post(home, json={"note": "no need"})
    after = check(answer, "POST", f"{ACCOUNT}/status/{{request_id}}/withdraw")
    assert (after["status"], after["items"][0]["status"]) == ("cancelled", "skipped")
    assert (await agent.post(home, json={})).status_code == 409


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a read": ({"method": "GET", "path": "/echo"}, "/requests/0/method"),
    "two bodies": (
        {"method": "PUT", "path": "/x", "body": 1, "binaryBase64": ""}, "/requests/0/binaryBase64",
    ),
    "no base64": ({"method": "PUT", "path": "/x", "binaryBase64": "%"}, "/requests/0/binaryBase64"),
    "dots": ({"method": "PUT", "path": "/a/%2e%2e/b"}, "/requests/0/path"),
    "a credential": (
        {"method": "PUT", "path": "/x", "headers": {"host": "x"}}, "/requests/0/headers",
    ),
    "another field": ({"method": "PUT", "path": "/x", "url": "x"}, "/requests/0"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
async def test_what_is_refused_says_where(door: Door, what: str) -> None:
    await door.world.target("http://127.0.0.1:1", "github.acme")
    agent = await door.client("agent")
    item, pointer = REFUSED[what]
    answer = await agent.post("/api/queue/github/acme/submit", json={"requests": [item]})
    assert answer.status_code == 400
    assert check(answer, "POST", f"{ACCOUNT}/submit")["pointer"].startswith(pointer)


async def test_a_repeated_submission_makes_one_request(door: Door, upstream: Upstream) -> None:
    await submit(door, upstream, {"method": "POST", "path": "/echo/1"})
    agent = await door.client(
        "agent",
    )
    body = {"requests": [{"method": "POST", "path": "/echo/9"}]}
    key = {"Idempotency-Key": "once"}
    made = [
        (await agent.post("/api/queue/github/acme/submit", json=body, headers=key)).json()["id"]
        for _ in range(2)
    ]
    assert made[0] == made[1]


async def test_what_was_left_out_does_not_stand_under_what_ran(
    door: Door, upstream: Upstream
) -> None:
    paths = [{"method": "POST", "path": f"/echo/{n}"} for n in (1, 2)]
    made = await submit(door, upstream, *paths)
    name, services, approver = made["id"], door.world.services, await door.client("approver")
    browser = await administrator(door)
    whole = (await browser.get(f"/requests/{name}")).text
    assert "echo/2" in whole and "not run</h2>" not in whole
    ballot = {"decision": "approve", "digest": made["digest"], "except": [2]}
    await approver.post(f"/api/requests/{name}/decide", json=ballot)
    for heading, rests in (
        ("What will run", "What does not run"),
        ("What ran", "What did not run"),
    ):
        for address in (f"/requests/{name}", f"/requests/{name}/status"):
            page = (await browser.get(address)).text
            runs, _, rest = page.partition(f"<h2>{rests}</h2>")
            assert heading in runs and 'id="call-1"' in runs and 'id="call-2"' not in runs
            assert 'id="call-2"' in rest and 'id="call-1"' not in rest
        card = await services.store.read(lambda tx: services.cards.of(tx, name))
        parts = {one.title: str(one.parts) for one in sheet_of(card, Fitting(10_000, 9)).sections}
        assert "echo/2" not in parts[heading] and "echo/2" in parts[rests]
        await services.bundles.run(name)
