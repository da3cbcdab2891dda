"""Votes that come at the same moment through different channels: a person has one (DEC-1, T30)."""

import asyncio
import re
from collections import Counter
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.support.gate import NAMES, Gate, Place, gate
from tests.support.slack_message import Message

pytestmark = [
    pytest.mark.usefixtures("_clients"),
    pytest.mark.requirement("DEC-1", "T27", "T30"),
    pytest.mark.timeout(200),
]

ROUNDS: Final = 50
"""Of two people, and as many of one; on each engine."""

WHOLE: Final = ("submitted", "voted", "approved", "claimed", "succeeded")
"""What the record has of a request with two votes; with one, the first two."""


async def form(browser: httpx.AsyncClient, link: str) -> dict[str, str]:
    """Return what the page of a link sends back."""
    (token,) = re.findall(r'name="form" value="([^"]+)"', (await browser.get(link)).text)
    return {"form": token, "decision": "approve", "comment": "by link"}


async def at_once(
    made: Gate, browser: httpx.AsyncClient, press: tuple[Message, Place], link: str
) -> int:
    """Press a card in Slack, and post the form of a link to the other server, at the same time.

    Returns the status that the page answers.
    """
    vote, (card, place) = await form(browser, link), press
    async with asyncio.TaskGroup() as group:
        pressed = group.create_task(made.slack.press(card, "approve", user=made.user(place)))
        posted = group.create_task(browser.post(link, data=vote))
    assert pressed.result().good
    return posted.result().status_code


async def test_two_people_count_and_one_counts_once(database_url: str, tmp_path: Path) -> None:
    async with gate(tmp_path, database_url, 2 * ROUNDS) as made:
        await asyncio.to_thread(made.product.serve)
        await made.ask(range(2 * ROUNDS))
        cards, links = await made.cards(), await made.links()
        two, one = range(ROUNDS), range(ROUNDS, 2 * ROUNDS)
        seen: Counter[int] = Counter()
        async with httpx.AsyncClient(base_url=made.product.base_urls[1]) as browser:
            for number in two:
                first, second = ((number, name) for name in (NAMES, NAMES[::-1])[number % 2])
                press = (cards[first], first)
                assert await at_once(made, browser, press, links[second]) == 200
            for number in one:
                place = (number, NAMES[number % 2])
                seen[await at_once(made, browser, (cards[place], place), links[place])] += 1
        await made.ended(two)
        check(made, two, one, seen)


def check(made: Gate, two: range, one: range, seen: Counter[int]) -> None:
    """Two people are two votes, one decision, one call; one person is one vote and no decision."""
    assert set(seen) <= {200, 409, 410}, seen
    votes: dict[str, list[str]] = {name: [] for name in made.ids.values()}
    for row in made.rows("SELECT request_id, channel FROM votes"):
        votes[row.request_id].append(row.channel)
    statuses = {row.id: row.status for row in made.rows("SELECT id, status FROM requests")}
    for number in two:
        assert sorted(votes[made.ids[number]]) == ["link", "slack"]
        assert statuses[made.ids[number]] == "succeeded"
    counted = Counter(channel for number in one for channel in votes[made.ids[number]])
    assert all(len(votes[made.ids[number]]) == 1 for number in one)
    assert counted["link"] == seen[200]
    assert {statuses[made.ids[number]] for number in one} == {"pending"}
    called = Counter(received.target for received in made.upstream.log)
    assert called == Counter(f"/echo/{number}" for number in two)
    check_record(made, two, one)


def check_record(made: Gate, two: range, one: range) -> None:
    """The record has one line for each step, and no more."""
    lines = made.rows("SELECT request_id, event FROM audit WHERE request_id IS NOT NULL")
    seen = Counter((row.request_id, row.event.removeprefix("request.")) for row in lines)
    for number in (*two, *one):
        found = {event: times for (name, event), times in seen.items() if name == made.ids[number]}
        assert found == dict.fromkeys(WHOLE if number in two else WHOLE[:2], 1)
