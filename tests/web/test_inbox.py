"""Pages under hostile text and volume: what they warn of, their order, and what they say after."""

import pytest

from app.core.action import Kind
from app.core.audit import Actor, ActorKind, AuditEntry
from app.core.request import Status, evolve
from app.store.tx import Tx
from tests.web.conftest import Door
from tests.web.test_selection import signed_in

pytestmark = pytest.mark.requirement("DASH-1", "DASH-2")


@pytest.mark.requirement("T5", "T8")
async def test_every_page_says_how_much_is_not_what_it_seems(door: Door) -> None:
    answer = await door.ask(params={"to": "p\u0430ypal \u202e\u202d"}, reason="fine")
    plain = await door.ask(params={"to": "paypal"})
    browser = await signed_in(door)
    for address in ("/requests/{}", "/decisions?pick={}"):
        page = (await browser.get(address.format(answer.json()["id"]))).text
        assert "2 hidden characters are written out" in page
        assert "1 word is written in mixed or look-alike letters" in page
        assert page.index("2 hidden") < page.index('class="payload"')
        assert 'class="mind"' not in (await browser.get(address.format(plain.json()["id"]))).text


async def test_a_page_says_what_is_the_case_now(door: Door) -> None:
    made = await door.pending()
    browser = await signed_in(door)
    before = (await browser.get(f"/requests/{made.id}")).text
    assert ">What will run<" in before and "<dt>Expires</dt>" in before
    await door.world.services.decisions.cancel(door.world.anne, made.id, "")
    after = (await browser.get(f"/requests/{made.id}")).text
    assert ">What would have run<" in after and "<dt>Expires</dt>" not in after
    assert "may not be undone" not in after


async def test_the_inbox_pages_filters_and_previews(door: Door) -> None:
    await door.ask(params={"to": "x" * 400}, reason="y" * 400)
    one = await door.pending()

    def add(tx: Tx) -> None:
        for n in range(60):
            end = one.expires_at + n * 1_000_000
            tx.requests.insert(evolve(one, {"id": f"{one.id[:-3]}{n:03}", "expires_at": end}))

    await door.world.services.store.write(add)
    browser = await signed_in(door)
    first = (await browser.get("/")).text
    assert first.count('name="pick"') == 50 and "Expires later" in first
    assert "{&#34;to&#34;:&#34;xxx" in first and "x…" in first and "y…" in first
    later = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = (await browser.get(later)).text
    assert second.count('name="pick"') == 12 and "Expires sooner" in second
    newest = (await browser.get("/?order=newest")).text
    assert newest.count('name="pick"') == 50 and "Older" in newest
    assert (await browser.get("/inbox/list?urgency=critical")).text.count('name="pick"') == 0
    assert "Nothing here fits" in (await browser.get("/?urgency=critical")).text
    for wrong in ("/?order=x", "/?cursor=x", "/?urgency=x", "/?nothing=x"):
        assert (await browser.get(wrong)).is_client_error
    agent = (await browser.get(f"/agents/{one.agent_id}")).text
    assert "62 of" in agent and f"/requests?agent={one.agent_id}" in agent


ANNE = "person:{anne}"
ENDS = {
    "succeeded": (Status.SUCCEEDED, ANNE, "Approved by Anne; it ran and succeeded"),
    "failed": (Status.FAILED, ANNE, "Approved by Anne; it failed before anything was sent"),
    "denied": (Status.DENIED, ANNE, "Denied by Anne"),
    "unanswered": (Status.DENIED, "system:assentry", "Denied since nobody decided in time"),
    "expired": (Status.EXPIRED, None, "Nobody decided it in time"),
    "late": (Status.EXPIRED, ANNE, "Approved by Anne; its time was over before it ran"),
    "cancelled": (Status.CANCELLED, None, "Withdrawn by robot"),
    "revoked": (Status.CANCELLED, ANNE, "Approved by Anne; withdrawn by robot before it ran"),
    "unknown": (Status.UNKNOWN, ANNE, "Approved by Anne; whether it ran is unknown"),
    "allowed": (Status.SUCCEEDED, "policy:pol_1", "Approved by policy; it ran and succeeded"),
    "waiting": (Status.APPROVED, ANNE, "Approved by Anne; it has not run yet"),
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_request_that_ended_says_who_decided_and_how_it_ended(door: Door, end: str) -> None:
    status, by, said = ENDS[end]
    world = door.world
    await world.target("http://127.0.0.1:9")
    asked = await world.call("DELETE", "/x")
    assert asked.kind is Kind.HTTP and world.anne.person is not None
    by = by and by.format(anne=world.anne.person.id)
    changes = {"id": world.services.ids.new("req"), "status": status, "decided_by": by,
               "decided_at": asked.created_at if by else None}  # fmt: skip
    item = evolve(asked, changes)
    robot = Actor(ActorKind.AGENT, world.agent.id, "robot")
    entry = AuditEntry("request.cancelled", robot, f"request:{item.id}", item.id)

    def put(tx: Tx) -> None:
        tx.requests.insert(item)
        if status is Status.CANCELLED:
            tx.audit.add(entry)

    await world.services.store.write(put)
    browser = await signed_in(door)
    for address in (f"/requests/{item.id}", f"/requests/{item.id}/status"):
        page = (await browser.get(address)).text
        assert f">{said}</strong>" in page and "A person decides" not in page
        inbox = status is Status.UNKNOWN
        home = '<a href="/">Inbox</a>' if inbox else '<a href="/requests">History</a>'
        assert f'section">{home}' in page


async def test_a_request_that_was_taken_back_says_by_whom(door: Door) -> None:
    made, agent = await door.pending(), await door.client("agent")
    await door.world.services.decisions.cancel(door.world.anne, made.id, "")
    own = await door.pending()
    assert (await agent.post(f"/api/requests/{own.id}/cancel", json={})).is_success
    browser = await signed_in(door)
    for asked, said in ((made, "Revoked by Anne"), (own, "Withdrawn by robot")):
        assert f">{said}</strong>" in (await browser.get(f"/requests/{asked.id}")).text


async def test_a_settled_request_says_who_found_out(door: Door) -> None:
    world = door.world
    await world.target("http://127.0.0.1:9")
    asked = await world.call("DELETE", "/x")
    changes = {"id": world.services.ids.new("req"), "status": Status.UNKNOWN,
               "decided_by": "policy:-", "decided_at": asked.created_at}  # fmt: skip
    item = evolve(asked, changes)
    await world.services.store.write(lambda tx: tx.requests.insert(item))
    await world.services.decisions.settle(world.anne, item.id, ran=False, note="looked")
    page = (await (await signed_in(door)).get(f"/requests/{item.id}")).text
    assert "Approved by policy; Anne found that it did not run</strong>" in page
