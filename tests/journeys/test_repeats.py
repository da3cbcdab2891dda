"""What comes again, later, or in another order has no effect beyond the first time (R6)."""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import pytest

from tests.support.gate import SLACK_PATH, Gate, Place, gate
from tests.support.slack_answer import Answer, Odd
from tests.support.slack_message import Message
from tests.support.slack_payloads import Target

pytestmark = [
    pytest.mark.usefixtures("_clients"),
    pytest.mark.requirement("CH-1", "CH-4", "T11", "T16", "T30"),
    pytest.mark.timeout(200),
]

REQUESTS: Final = 50
REPEATS: Final = 3
"""Of one press, in each of three ways; with the first that is ten for each of two people."""

AT_ONCE: Final = 8
APPROVED: Final = {"submitted": 1, "voted": 1, "approved": 1, "claimed": 1, "succeeded": 1}
DENIED: Final = {"submitted": 1, "denied": 1}

Sending = Callable[[], Coroutine[Any, Any, int]]


def choice(number: int) -> str:
    """Every fifth request is denied by both, all others are approved by both."""
    return "approve" if number % 5 else "deny"


class Press:
    """One press of a button, which comes to the product in any way and as often as one likes."""

    def __init__(self, made: Gate, place: Place, card: Message) -> None:
        """Press, as long as the card has buttons; nothing is sent yet."""
        self._slack = made.slack
        self._url = f"{made.product.base_url}{SLACK_PATH}"
        payload = made.slack.payloads.press(Target(card, choice(place[0])), made.user(place))
        self._first = Answer(0, payload=payload)
        self._at = int(made.slack.world.now())

    def posted(self) -> list[Sending]:
        """Return one signed call, several times the same byte for byte."""
        slack, payload = self._slack, self._first.payload
        body = urlencode({"payload": json.dumps(payload)}).encode()
        odd: Odd = {"signed_at": self._at}
        signed = slack.endpoint.sign(self._url, body, "application/x-www-form-urlencoded", odd)

        async def again() -> int:
            return (await slack.endpoint.post(signed)).status

        return [again] * (1 + REPEATS)

    def redelivered(self) -> list[Sending]:
        """Return calls that are signed anew, at other times; they come in any order."""

        async def again(number: int) -> int:
            answer = await self._slack.redeliver(
                self._first, retry_num=number, url=self._url, signed_at=self._at - 40 * number
            )
            return answer.status

        return [lambda number=number: again(number) for number in range(1, REPEATS + 1)]

    def enveloped(self) -> list[Sending]:
        """Return envelopes over Socket Mode, each another one."""

        async def again() -> int:
            return (await self._slack.redeliver(self._first)).status

        return [again] * REPEATS


async def shuffled(sendings: Sequence[Sending]) -> Counter[int]:
    """Send everything in any order, several at once; return how often which status came."""
    order, seen = list(sendings), Counter[int]()
    random.Random(6).shuffle(order)

    async def some() -> None:
        while order:
            seen[await order.pop()()] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())
    return seen


async def test_a_press_counts_once_however_it_comes(database_url: str, tmp_path: Path) -> None:
    async with gate(tmp_path, database_url, REQUESTS) as made:
        made.product.env["ASSENTRY_SLACK_APP_TOKEN"] = made.slack.world.app.app_token
        await asyncio.to_thread(made.product.work)
        await made.slack.wait_for(lambda: made.slack.sockets.live or None)
        made.slack.world.app.set_request_url(None)
        await made.ask(range(REQUESTS))
        cards = await made.cards()
        sendings: list[Sending] = []
        for place, card in cards.items():
            press = Press(made, place, card)
            sendings += [*press.posted(), *press.redelivered(), *press.enveloped()]
        assert len(sendings) == 1000
        seen = await shuffled(sendings)
        await made.ended(range(REQUESTS))
        assert seen == {200: 700, 401: 300}, "what was replayed byte for byte is turned away"
        assert refusals(made) == 700 - check(made, "slack")


async def test_a_link_counts_once_however_often_it_is_posted(
    database_url: str, tmp_path: Path
) -> None:
    async with gate(tmp_path, database_url, REQUESTS) as made:
        await made.ask(range(REQUESTS))
        links, times = await made.links(), random.Random(5)
        assert len(links) == 2 * REQUESTS
        async with httpx.AsyncClient(base_url=made.product.base_url) as browser:
            sendings: list[Sending] = []
            for place, link in links.items():
                sendings += [await posting(browser, place, link)] * times.randint(1, 5)
            seen = await shuffled(sendings)
        await made.ended(range(REQUESTS))
        assert check(made, "link") == seen[200]
        assert set(seen) <= {200, 409, 410} and seen.total() == len(sendings)


async def posting(browser: httpx.AsyncClient, place: Place, link: str) -> Sending:
    """Return what posts the form of a link."""
    (token,) = re.findall(r'name="form" value="([^"]+)"', (await browser.get(link)).text)
    form = {"form": token, "decision": choice(place[0]), "comment": ""}

    async def post() -> int:
        return (await browser.post(link, data=form)).status_code

    return post


def refusals(made: Gate) -> int:
    """Return how many ballots were turned away, as the record has it."""
    rows = made.rows("SELECT count(*) AS lines FROM audit WHERE event = 'ballot.refused'")
    return int(rows[0].lines)


def check(made: Gate, channel: str) -> int:
    """One vote of each person, one decision, one call, one line for each; returns the votes."""
    votes = Counter(
        row.request_id
        for row in made.rows(f"SELECT request_id FROM votes WHERE channel = '{channel}'")
    )
    statuses = {row.id: row.status for row in made.rows("SELECT id, status FROM requests")}
    lines = made.rows("SELECT request_id, event FROM audit WHERE request_id IS NOT NULL")
    record = Counter((row.request_id, row.event.removeprefix("request.")) for row in lines)
    for number, name in made.ids.items():
        good = choice(number) == "approve"
        assert statuses[name] == ("succeeded" if good else "denied")
        assert votes[name] == (2 if good else 1)
        found = {event: times for (of, event), times in record.items() if of == name}
        assert found == (APPROVED if good else DENIED)
    called = Counter(received.target for received in made.upstream.log)
    approved = [number for number in made.ids if choice(number) == "approve"]
    assert called == Counter(f"/echo/{number}" for number in approved)
    return votes.total()
