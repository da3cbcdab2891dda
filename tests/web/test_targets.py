"""The page of a target: its breaker in words, and the button that lets calls pass."""

import re

import httpx
import pytest

from app.core.principals import Role
from tests.web.conftest import BASE, Door

pytestmark = [pytest.mark.requirement("LIM-1"), pytest.mark.timeout(60)]

PASSWORD = "correct horse battery staple 48"


async def browser(door: Door, role: Role) -> httpx.AsyncClient:
    """Return the browser of a person with a role."""
    email = f"{role}@pages.example.org"
    await door.world.services.people.create(
        door.world.anne, name="Cara", email=email, role=role, password=PASSWORD
    )
    made = await door.client(headers={"Origin": BASE})
    signed_in = await made.post("/sign-in", data={"email": email, "password": PASSWORD})
    assert signed_in.status_code == 303
    return made


async def test_operators_see_why_calls_are_stopped_and_let_them_pass(door: Door) -> None:
    target = await door.world.target("http://127.0.0.1:1", "gone", breaker_failures=1)
    await door.world.policy("reads", "allow", {"http.method": "GET"})
    at = f"/targets/{target.id}"
    operator, viewer = await browser(door, Role.OPERATOR), await browser(door, Role.VIEWER)
    assert "No call is held back." in (await operator.get(at)).text
    await (await door.client("agent")).get("/gateway/gone/x")
    page = (await operator.get(at)).text
    assert "Calls are stopped" in page and "Too many calls failed (1)" in page
    assert "Let calls pass now" not in (await viewer.get(at)).text
    token = re.search(r'name="form_token" value="([^"]+)"', page)
    assert token
    form = {"form_token": token[1]}
    assert (await operator.post(f"{at}/breaker", data=form)).status_code == 303
    assert "No call is held back." in (await operator.get(at)).text
    assert (await operator.post(f"{at}/breaker", data={"form_token": "x"})).status_code == 403
