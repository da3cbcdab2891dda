"""The record as the API and the page give it: filters, pages both ways, and what its rows say."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from app.core.audit import NOBODY, AuditEntry
from app.core.instant import Instant, to_datetime
from tests.web.conftest import Door
from tests.web.test_selection import signed_in

pytestmark = pytest.mark.requirement("AUD-1", "DASH-1")


async def events(client: httpx.AsyncClient, **wanted: str) -> list[str]:
    """Return the events of the record that fit, newest first."""
    answer = await client.get("/api/audit", params=wanted)
    assert answer.status_code == 200, answer.text
    return [line["event"] for line in answer.json()["items"]]


async def test_the_record_is_narrowed_down(any_door: Door) -> None:
    client = await any_door.client("viewer")
    asked = await any_door.pending()
    await any_door.world.services.decisions.cancel(any_door.world.anne, asked.id, "no need")
    await any_door.pending()
    both = ["request.cancelled", "request.submitted"]
    assert await events(client, subject=asked.id) == both
    assert await events(client, subject=f"request:{asked.id}", event="request.*") == both
    assert await events(client, event="request.submit") == []
    assert await events(client, event="reques%.*") == await events(client, event="reques_.*") == []
    assert set(await events(client, event="key.*")) == {"key.created"}
    (key,) = (await client.get("/api/audit", params={"event": "key.*", "limit": "1"})).json()[
        "items"
    ]
    for text in (key["subject"], key["subject"].partition(":")[2]):
        assert await events(client, subject=text) == ["key.created"]
    assert await events(client, subject=key["subject"][-5:]) == []
    assert await events(client, actor=f"agent:{any_door.world.agent.id}", event="key.*") == []


async def test_the_record_of_a_time(any_door: Door) -> None:
    client, world = await any_door.client("viewer"), any_door.world
    asked = await any_door.pending()
    (record,) = await world.services.audit.page(world.anne, subject=asked.id)
    at, later = to_datetime(record.at), to_datetime(Instant(record.at + 1))
    times = {"from": at.isoformat(), "until": later.isoformat()}
    assert await events(client, subject=asked.id, **times) == ["request.submitted"]
    assert await events(client, subject=asked.id, until=at.isoformat()) == []
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()  # noqa: TID251 - a real day
    assert await events(client, **{"from": tomorrow}) == []
    wrong = await client.get("/api/audit", params={"from": "yesterday"})
    assert (wrong.status_code, wrong.json()["pointer"]) == (400, "/from")


async def test_the_page_filters_and_goes_both_ways(door: Door) -> None:
    asked = [await door.pending() for _ in range(3)]
    browser = await signed_in(door)
    first = await browser.get("/audit?event=request.submitted&limit=2&actor=&from=")
    assert numbers(first) == sorted(numbers(first), reverse=True)
    assert asked[2].id in first.text and asked[0].id not in first.text
    assert f'href="/requests/{asked[2].id}"' in first.text and 'rel="prev"' not in first.text
    second = await browser.get(following(first, "next"))
    assert asked[0].id in second.text and 'rel="next"' not in second.text
    assert numbers(await browser.get(following(second, "prev"))) == numbers(first)
    none = await browser.get("/audit?until=2020-01-01T00:00")
    assert "Nothing fits" in none.text and 'value="2020-01-01T00:00"' in none.text
    document = re.search(r'href="(/api/audit[^"]*)"', none.text)
    assert document is not None
    answer = await browser.get(document[1].replace("&amp;", "&"))
    assert answer.json() == {"items": [], "next": None}


def numbers(answer: httpx.Response) -> list[int]:
    """Return the numbers of the entries that a page shows."""
    return [
        int(text) for text in re.findall(r'class="number"><span class="fine">(\d+)<', answer.text)
    ]


def following(answer: httpx.Response, way: str) -> str:
    """Return the address of the next page."""
    return answer.text.split(f'rel="{way}" href="')[1].split('"')[0].replace("&amp;", "&")


async def test_a_wrong_filter_is_said_and_kept(door: Door) -> None:
    browser = await signed_in(door)
    page = await browser.get("/audit?from=soon&event=key.*")
    assert (page.status_code, "from is a time" in page.text) == (400, True)
    assert 'value="key.*"' in page.text and "Show all" in page.text
    for wrong in ("/audit?nothing=x", "/audit?cursor=x", "/audit?event=%C3%A4"):
        assert (await browser.get(wrong)).status_code == 400


async def test_a_row_says_what_happened_and_leads_on(door: Door) -> None:
    details = {"to": "p\u0430ypal\u202e", "scopes": ["a"], "none": None, "note": "n" * 400}
    entry = AuditEntry("agent.updated", NOBODY, f"agent:{door.world.agent.id}", None, details)
    asked = await door.pending()
    services = door.world.services
    await services.store.write(lambda tx: tx.audit.add(entry))
    await services.decisions.cancel(door.world.anne, asked.id, "not needed")
    browser = await signed_in(door)
    page = (await browser.get("/audit?event=agent.updated")).text
    assert 'to <mark class="mixed">' in page and "\\u{202E}" in page and "\u202e" not in page
    assert "scopes [&#34;a&#34;]" in page and "none" not in page and "n…" in page
    assert f'href="/agents/{door.world.agent.id}"' in page
    assert 'href="/audit?event=agent.updated&amp;actor=nobody%3A-"' in page
    assert '<option value="nobody:-">not signed in' in page
    page = (await browser.get(f"/audit?subject={asked.id}&actor=person:gone")).text
    assert '<option value="person:gone" selected>person:gone' in page
    page = (await browser.get(f"/audit?subject={asked.id}")).text
    assert "code revoked · note not needed" in page and asked.digest not in page
    assert "became pending" in page
    page = (await browser.get(f"/audit?actor=agent:{door.world.agent.id}")).text
    assert f'href="/requests?agent={door.world.agent.id}"' in page
