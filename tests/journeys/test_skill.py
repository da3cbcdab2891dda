"""A robot that knows nothing but the skill's words calls, waits, and reads the answer."""

import re
from collections.abc import Generator
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.support.server import Installation, installation
from tests.support.upstream import Upstream

pytestmark = [pytest.mark.requirement("SVC-3"), pytest.mark.timeout(200)]

FINAL: Final = re.compile(r"is one of ((?:`[a-z]+`,? ?)+)")


class Robot:
    """Follows the skill to the letter; it has the server's address and a key."""

    def __init__(self, base_url: str, key: str) -> None:
        """Read the skill."""
        self.http = httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60)
        self._skill_url = f"{base_url}/api/skill"
        self.text = ""

    async def learn(self) -> None:
        answer = await self.http.get(self._skill_url)
        self.text = " ".join(answer.text.split())

    def found(self, pattern: str) -> str:
        match = re.search(pattern, self.text)
        assert match, pattern
        return match[1]

    def says_of(self, method: str) -> str:
        return self.found(rf"- {method}: (is carried out at once|waits for a person|is refused)")

    async def call(self, method: str, path: str) -> httpx.Response:
        base = self.found(r"base address: `([^`]+)`")
        return await self.http.request(method, f"{base}{path}")

    async def outcome(self, request_id: str) -> str:
        """Wait as the skill says, and return the status that ends the waiting."""
        wait = self.found(r"Wait with `GET ([^`]+)`")
        ends = re.findall(r"`([a-z]+)`", self.found(FINAL.pattern))
        while True:
            answer = await self.http.get(wait.replace("{id}", request_id))
            if (status := str(answer.json()["status"])) in ends:
                return status

    async def result(self, request_id: str) -> httpx.Response:
        where = self.found(r"read the service's answer with `GET ([^`]+)`")
        return await self.http.get(where.replace("{id}", request_id))


@pytest.fixture
def product(tmp_path: Path) -> Generator[Installation, None, None]:
    with installation(tmp_path) as made:
        yield made


async def test_a_robot_gets_along_with_the_skill_alone(product: Installation) -> None:
    admin = httpx.AsyncClient(
        base_url=product.base_url, headers={"Authorization": f"Bearer {product.admin_key}"}
    )
    async with Upstream() as upstream, admin:
        settings = {"networks": ["127.0.0.0/8"], "methods": ["GET", "POST", "DELETE"]}
        made = await admin.post(
            "/api/targets", json={"name": "books", "base_url": upstream.url, "settings": settings}
        )
        assert made.status_code == 201
        for name, effect, method in (("reads", "allow", "GET"), ("no", "deny", "DELETE")):
            rule = {"name": "rule", "effect": effect, "match": {"http.method": method}}
            answer = await admin.post("/api/policies", json={"name": name, "rules": [rule]})
            assert answer.status_code == 201
        robot = Robot(product.base_url, product.agent_key)
        async with robot.http:
            await robot.learn()
            assert robot.says_of("GET") == "is carried out at once"
            read = await robot.call("GET", "/echo")
            assert read.status_code == 200 and read.headers["x-assentry-request"]
            assert robot.says_of("DELETE") == "is refused"
            refused = await robot.call("DELETE", "/echo")
            assert (refused.status_code, refused.json()["code"]) == (403, "denied")
            assert robot.says_of("POST") == "waits for a person"
            asked = await robot.call("POST", "/echo")
            assert asked.status_code == 202
            request = asked.json()
            ballot = {"decision": "approve", "digest": request["digest"]}
            decided = await admin.post(f"/api/requests/{request['id']}/decide", json=ballot)
            assert decided.status_code == 200, decided.text
            assert await robot.outcome(request["id"]) == "succeeded"
            assert (await robot.result(request["id"])).json()["status"] == 200
        assert upstream.url not in robot.text
        assert [got.method for got in upstream.log] == ["GET", "POST"]
