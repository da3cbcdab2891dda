"""``redact`` fulfilled: inline answers, stored results, and policies that came later."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.core.masking import MARK
from app.core.request import Status
from app.services.intake import Asked
from tests.support.upstream import Upstream
from tests.support.world import World, world

pytestmark = pytest.mark.requirement("POL-4", "T59")

DUTY = {"kind": "redact", "fields": ["method"], "kinds": ["email"]}


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path) as opened:
        yield opened


async def test_an_inline_answer_is_masked(place: World, upstream: Upstream) -> None:
    await place.target(upstream.url)
    await place.policy("reads", "allow", {"http.method": "GET"}, obligations=[DUTY])
    asked = Asked(
        action="http.request", params={"method": "GET", "path": "/echo?u=ann@example.org"},
        context={}, target="upstream",
    )  # fmt: skip
    request, result = await place.services.inline.call(place.robot, asked, None)
    assert request.status is Status.SUCCEEDED and result is not None
    assert b"ann@example.org" not in result.body and MARK.encode() in result.body
    stored = await place.services.requests.result(place.robot, request.id)
    assert stored == result


async def test_a_long_answer_is_masked_beside_the_loop_and_a_cut_one_withheld(
    place: World, upstream: Upstream
) -> None:
    await place.target(upstream.url)
    duty = {"kind": "redact", "patterns": ["x{50}"]}
    await place.policy("reads", "allow", {"http.method": "GET"}, obligations=[duty])
    for size, truncated in ((131_072, False), (3_000_000, True)):
        asked = Asked(
            action="http.request", params={"method": "GET", "path": f"/huge/{size}"},
            context={}, target="upstream",
        )  # fmt: skip
        made, result = await place.services.inline.call(place.robot, asked, None)
        assert result is not None, made.outcome
        assert result.truncated is truncated
        assert b"x" * 50 not in result.body


async def test_what_a_later_policy_masks_is_asked_anew(place: World, upstream: Upstream) -> None:
    await place.target(upstream.url)
    asked = await place.call("POST", "/echo")
    await place.vote(asked)
    await place.policy("masks", "review", {"http.method": "POST"}, obligations=[DUTY])
    await place.services.execution.run(asked.id)
    after = await place.get(asked)
    assert after.status is Status.CANCELLED and not upstream.log
