"""A caller of the API in tests."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import httpx


class Api:
    """One caller at one server."""

    opened: ClassVar[list["Api"]] = []

    def __init__(self, base_url: str, key: str) -> None:
        self.opened.append(self)
        headers = {"Authorization": f"Bearer {key}"}
        limits = httpx.Limits(max_connections=32)
        self.client = httpx.AsyncClient(
            base_url=base_url, headers=headers, timeout=60, limits=limits
        )

    async def call(self, method: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        answer = await self.client.request(method, path, json=body or None)
        return answer.status_code, answer.json() if answer.content else {}

    async def made(self, path: str, **body: Any) -> dict[str, Any]:
        status, found = await self.call("POST", path, **body)
        assert status in (201, 202), found
        return found

    @classmethod
    async def close_all(cls) -> None:
        """Close every client that a test opened."""
        while cls.opened:
            await cls.opened.pop().client.aclose()


@asynccontextmanager
async def signed_in(base_url: str, email: str, password: str) -> AsyncGenerator[httpx.AsyncClient]:
    """Sign in as a person: what a key may not do, such as linking accounts, is done so."""
    async with httpx.AsyncClient(base_url=base_url, headers={"Origin": base_url}) as client:
        made = await client.post("/api/session", json={"email": email, "password": password})
        assert made.status_code == 201, made.text
        client.headers["X-CSRF-Token"] = made.json()["csrf_token"]
        yield client


async def link(browser: httpx.AsyncClient, password: str, **identity: str) -> None:
    """Link an account in a channel to a person, as the administrator who is signed in."""
    made = await browser.post("/api/identities", json={**identity, "password": password})
    assert made.status_code == 201, made.text


async def own_key(base_url: str, email: str, password: str) -> str:
    """Sign in as a person and return a new key of theirs that reads and votes."""
    async with httpx.AsyncClient(base_url=base_url, headers={"Origin": base_url}) as browser:
        signed_in = await browser.post("/sign-in", data={"email": email, "password": password})
        assert signed_in.status_code == 303, signed_in.text
        token = _found(r'name="form_token" value="([^"]+)"', (await browser.get("/account")).text)
        form = {
            "form_token": token,
            "name": "race",
            "request:read": "on",
            "request:decide": "on",
            "password": password,
        }
        return _found(
            r"ask_[\w-]{43}",
            (await browser.post("/account/keys", data=form, follow_redirects=True)).text,
        )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, text
    return match[1] if match.lastindex else match[0]
