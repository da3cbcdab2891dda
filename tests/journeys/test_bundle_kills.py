"""kill -9 of the worker in the middle of a bundle; a second worker takes over.

What was done stays done, what was in doubt is a person's, and what had not begun goes on.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.journeys.test_kills_at_steps import Scene, Story, running
from tests.support.dying_worker import BUNDLE_STEPS
from tests.support.postgres import PostgresServer
from tests.support.upstream import Upstream

pytestmark = [
    pytest.mark.usefixtures("_clients"),
    pytest.mark.requirement("REQ-8", "EXE-1", "T29"),
]


@dataclass(frozen=True)
class End:
    """What has to have become of the bundle and of its three calls; the second one is the victim.

    :ivar calls: how often the upstream was called for each.
    """

    status: str
    items: tuple[str, str, str]
    calls: tuple[int, int, int]


GOES_ON = End("succeeded", ("succeeded", "succeeded", "succeeded"), (1, 1, 1))
NOT_CALLED = End("unknown", ("succeeded", "unknown", "skipped"), (1, 0, 0))
CALLED = End("unknown", ("succeeded", "unknown", "skipped"), (1, 1, 0))

EXPECTED = {
    "bundle claimed": GOES_ON,
    "call begun": GOES_ON,
    "marking call sent": GOES_ON,
    "call marked sent": NOT_CALLED,
    "call answered": CALLED,
    "finishing call": CALLED,
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Scene, None, None]:
    """One server on each engine for all steps."""
    folder = tmp_path_factory.mktemp("bundles")
    if request.param == "sqlite":
        with running(folder, f"sqlite:///{folder / 'test.db'}") as scene:
            yield scene
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as url, running(folder, url) as scene:
        yield scene


def test_every_step_has_its_end() -> None:
    assert list(EXPECTED) == list(BUNDLE_STEPS)


async def end_of(story: Story, request_id: str) -> End:
    """Wait for the bundle's end and return it."""
    status, seen = await story.agent.call("GET", f"/api/requests/{request_id}?wait=30")
    assert status == 200
    items: list[dict[str, Any]] = seen["items"]
    targets = [one.target for one in story.upstream.log]
    first, second, third = (str(item["status"]) for item in items)
    one, two, three = (targets.count(str(item["path"])) for item in items)
    assert [target for target in targets if target in {item["path"] for item in items}] == sorted(
        target for target in targets if target in {item["path"] for item in items}
    ), "out of order"
    return End(str(seen["status"]), (first, second, third), (one, two, three))


@pytest.mark.parametrize("step", BUNDLE_STEPS)
async def test_a_worker_dies_in_the_middle_of_a_bundle(scene: Scene, step: str) -> None:
    async with Upstream() as upstream:
        story = Story(scene, upstream)
        await story.prepare()
        calls = [{"method": "POST", "path": f"/echo/{n}", "json": {}} for n in (1, 2, 3)]
        made = await story.agent.made(
            "/api/requests", action="http.bundle", target=story.target, params={"calls": calls}
        )
        name = str(made["id"])
        victim = name if step == "bundle claimed" else f"{name}/2"
        first = await scene.young.work(step, victim)
        assert f"dying at {step}" in await first.ended()
        second = await scene.young.work()
        assert await end_of(story, name) == EXPECTED[step]
        await story.nothing_left()
        assert "Traceback" not in await second.stop()
        if EXPECTED[step].status != "unknown":
            return
        status, after = await story.admin.call(
            "POST", f"/api/requests/{name}/settle", ran=True, note="the upstream's log says so"
        )
        assert (status, after["status"]) == (200, "failed"), after
        assert [item["status"] for item in after["items"]] == ["succeeded", "succeeded", "skipped"]
