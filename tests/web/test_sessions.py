"""Set-up, sign-in and what is shown once, in a browser."""

from pathlib import Path

import httpx
import pytest

from app.asgi import create_app
from app.factory import services
from tests.support.templates import prepare
from tests.support.world import settings_for
from tests.web.conftest import BASE
from tests.web.test_selection import PASSWORD


@pytest.mark.requirement("PPL-3", "T32")
async def test_a_set_up_link_that_is_not_the_newest_says_so_at_once(tmp_path: Path) -> None:
    settings = settings_for(f"sqlite:///{tmp_path / 'test.db'}", tmp_path)
    prepare(settings.database)
    async with services(settings) as opened:
        app = create_app(settings, opened)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url=BASE, headers={"Origin": BASE}
            ) as browser,
        ):
            old, new = [await opened.people.issue_setup_token() or "" for _ in range(2)]
            form = {"name": "Ann", "email": "ann@example.org", "password": PASSWORD}
            for answer in (
                await browser.get("/setup", params={"token": old}),
                await browser.post("/setup", data={**form, "token": old}),
            ):
                assert (answer.status_code, "setup_link_replaced" in answer.text) == (403, True)
                assert "not the newest" in answer.text and 'name="password"' not in answer.text
            assert 'name="password"' in (await browser.get("/setup?token=" + new)).text
            bare = await browser.get("/setup")
            assert (bare.status_code, 'role="alert"' in bare.text) == (200, False)
            done = await browser.post("/setup", data={**form, "token": new})
            assert (done.status_code, done.headers["location"]) == (303, "/")
            late = await browser.post("/setup", data={**form, "token": new})
            assert (late.status_code, 'href="/sign-in"' in late.text) == (403, True)
            assert (await browser.get("/setup")).headers["location"] == "/sign-in"
