"""What is held back, what gets through, and that nobody is left untold."""

from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.core.action import Urgency
from app.core.delivery import Delivery, DeliveryState
from app.core.ports import DeliveryFailed, Digest, Posted
from app.core.request import Request
from app.services.holding import AGENTS_CAP, CAP, OWN_WORD
from tests.support.channel import FakeChannel
from tests.support.telling import BEN, deliveries, opened, signed_in
from tests.support.world import FakeClock, World, agent_caller

pytestmark = pytest.mark.requirement("CH-6", "CH-7", "T9")

RISKY: dict[str, Any] = {
    "name": "risky", "risk": {"factors": [{"name": "drops", "points": 80,
                                           "match": {"action": {"glob": "drop_*"}}}]},
}  # fmt: skip


@dataclass
class Told(FakeChannel):
    """A chat that may refuse digests alone."""

    refuses: DeliveryFailed | None = None
    refused: list[Digest] = field(default_factory=list[Digest])

    async def digest(self, digest: Digest, recipient: str) -> Posted:
        """Show several requests in one message, unless they are refused."""
        if self.refuses is not None:
            self.refused.append(digest)
            raise self.refuses
        return await super().digest(digest, recipient)


@pytest.fixture
async def chat() -> Told:
    return Told()


@pytest.fixture
async def place(database_url: str, tmp_path: Path, chat: Told) -> AsyncGenerator[World, None]:
    """A world where Ben alone is asked."""
    async with opened(database_url, tmp_path, chat, clock=FakeClock()) as made:
        route = {"approvers": ["person:ben@example.org"], "expires_in": 86_400}
        await made.policy("asks", "review", {"action": {"glob": "*"}}, route=route)
        await made.services.policies.create(made.anne, RISKY)
        await made.services.policies.refresh()
        yield made


async def ask(place: World, action: str = "send_mail", **fields: Any) -> Request:
    """Ask for something, and tell people of it."""
    request = await place.ask(action, expires_in=86_400, **fields)
    await place.services.notices.notify(request.id)
    return request


async def bens(place: World, request: Request) -> Delivery:
    """Return Ben's copy."""
    (one,) = [item for item in await deliveries(place, request) if item.recipient == BEN.id]
    return one


async def states(place: World, *requests: Request) -> Counter[str]:
    return Counter([(await bens(place, request)).state.value for request in requests])


async def later(place: World, seconds: float) -> None:
    """Let time pass, and do what is due then."""
    clock = place.services.clock
    assert isinstance(clock, FakeClock)
    clock.move(seconds)
    await place.services.sweeps.tick()


async def carried(place: World, most: int = 100) -> None:
    """Carry what is due now."""
    couriers = place.services.couriers
    while most and (found := await couriers.claim("chat", most)):
        most -= len(found)
        for item in found:
            await couriers.carry(item)


async def prefer(place: World, **wish: Any) -> None:
    await place.services.accounts.prefer(signed_in(place.ben), "chat", wish)


async def test_the_cap_holds_for_everything_and_the_rest_is_one_message(
    place: World, chat: Told
) -> None:
    made = [await ask(place, urgency=Urgency.CRITICAL) for _ in range(CAP + 3)]
    worst = [await ask(place, "drop_table", urgency=Urgency.CRITICAL) for _ in range(3)]
    assert await states(place, *made, *worst) == {"due": CAP, "held": 6}
    await later(place, 30)
    joined = await ask(place)
    assert await states(place, joined) == {"held": 1}
    await later(place, 31)
    await carried(place)
    assert len(chat.messages) == CAP + 1
    (digest,) = [item.digest for item in chat.messages if item.digest]
    assert len(digest.lines) == 7
    assert await states(place, *made, *worst, joined) == {"done": CAP, "skipped": 7}


QUIET = {"quiet_from": "00:00", "quiet_to": "23:59"}


@pytest.mark.parametrize("wish", [QUIET, {"digest_seconds": 600}])
async def test_an_agents_own_word_gets_through_a_few_times(
    place: World, wish: dict[str, Any]
) -> None:
    await prefer(place, **wish)
    made = [await ask(place, urgency=Urgency.CRITICAL) for _ in range(OWN_WORD + 4)]
    assert await states(place, *made) == {"due": OWN_WORD, "held": 4}
    assert {(await bens(place, item)).purpose for item in made} == {"urgent", "asked"}
    worst = [await ask(place, "drop_table") for _ in range(5)]
    assert await states(place, *worst) == {"due": 5}


async def test_what_is_muted_only_the_policy_passes(place: World) -> None:
    await prefer(place, muted=True)
    claimed = await ask(place, urgency=Urgency.CRITICAL)
    assessed = await ask(place, "drop_table")
    assert await states(place, claimed) == {"skipped": 1}
    assert await states(place, assessed) == {"due": 1}


async def test_cards_stay_held_until_their_digest_was_taken(place: World, chat: Told) -> None:
    await prefer(place, digest_seconds=60)
    made = [await ask(place) for _ in range(3)]
    await later(place, 61)
    await later(place, 1)
    assert await states(place, *made) == {"held": 3}
    await carried(place)
    assert len(chat.messages) == 1
    assert await states(place, *made) == {"skipped": 3}


@pytest.mark.parametrize("refusal", ["for good", "for long"])
async def test_a_dead_digest_swallows_nothing(place: World, chat: Told, refusal: str) -> None:
    """What it stood for comes card by card, other agents' requests too."""
    chat.refuses = DeliveryFailed("msg_too_long", permanent=refusal == "for good")
    await prefer(place, digest_seconds=60)
    made = [await ask(place) for _ in range(CAP + 5)]
    await place.vote(made[0], place.ben)
    for _ in range(20):
        await later(place, 120)
        await carried(place, 1)
        if await states(place, *made[1:]) == {"due": CAP + 4}:
            break
    assert chat.messages == [] and {len(digest.lines) for digest in chat.refused} == {CAP + 4}
    await carried(place)
    assert len({item.card.request_id for item in chat.messages}) == CAP
    await later(place, 61)
    await carried(place)
    assert await states(place, *made) == {"done": CAP + 4, "skipped": 1}


async def test_a_card_alone_comes_as_itself(place: World, chat: Told) -> None:
    await prefer(place, digest_seconds=60)
    one, gone = await ask(place), await ask(place)
    await place.vote(gone, place.ben)
    await later(place, 61)
    await carried(place)
    assert chat.messages[0].card.request_id == one.id
    assert (await bens(place, gone)).state is DeliveryState.SKIPPED


async def test_one_agent_does_not_fill_a_mailbox(place: World, chat: Told) -> None:
    made: list[Request] = []
    for _ in range(4):
        made += [await ask(place) for _ in range(CAP)]
        await carried(place)
        await later(place, 61)
    assert len(chat.messages) == AGENTS_CAP
    assert await states(place, *made) == {"done": AGENTS_CAP, "held": CAP}
    await later(place, 540)
    await carried(place)
    (digest,) = [item.digest for item in chat.messages if item.digest]
    assert len(digest.lines) == CAP


async def test_one_agents_urgent_word_leaves_that_of_others(place: World) -> None:
    await prefer(place, **QUIET)
    for _ in range(OWN_WORD + 1):
        await ask(place, urgency=Urgency.CRITICAL)
    agents = place.services.agents
    other = await agents.create(place.anne, name="second")
    key, _ = await agents.create_key(
        place.anne, name="key", scopes=["request:create"], agent_id=other.id
    )
    place.robot = agent_caller(other, key)
    assert await states(place, await ask(place, urgency=Urgency.CRITICAL)) == {"due": 1}


@pytest.mark.requirement("DEC-6")
async def test_a_repeated_rung_tells_the_same_people_again(place: World, chat: Told) -> None:
    route = {"approvers": ["person:ben@example.org"], "expires_in": 9_999,
             "escalation": [{"after": 60, "repeat": 2}]}  # fmt: skip
    rule = {"name": "r", "effect": "review", "match": {"action": "page_me"}, "route": route}
    await place.services.policies.create(
        place.anne, {"name": "pages", "priority": 1, "rules": [rule]}
    )
    await place.services.policies.refresh()
    request = await ask(place, "page_me")
    for times in (1, 2, 3, 4, 4, 4):
        await carried(place)
        await place.services.notices.notify(request.id)  # the job may come twice
        await carried(place)
        assert len(chat.messages) == times
        await later(place, 60)
        await place.services.notices.notify(request.id)
    await place.vote(await place.get(request), place.ben)
    await place.services.notices.refresh(request.id)
    await carried(place)
    assert not any(item.card.pending for item in chat.messages), "every copy converges"
