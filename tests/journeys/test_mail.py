"""A request goes out by mail, is looked at by scanners, decided by link, and executed."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import Api
from tests.support.server import EMAIL, installation
from tests.support.smtp import MailSink, parts
from tests.support.upstream import Upstream

pytestmark = [
    pytest.mark.usefixtures("_clients"),
    pytest.mark.requirement("CH-3", "CH-4", "T10", "T11"),
    pytest.mark.timeout(120),
]

SCANNERS = ("SafeLinks", "Slackbot-LinkExpanding 1.0", "Mozilla/5.0 (Windows NT 10.0)")


async def test_asked_by_mail_and_decided_by_link(database_url: str, tmp_path: Path) -> None:
    async with Upstream() as upstream, MailSink() as sink:
        mail: dict[str, Any] = {
            "email_host": "127.0.0.1", "email_port": sink.port, "email_security": "none",
            "email_sender": "gate@example.org",
        }  # fmt: skip
        with installation(tmp_path / "data", database_url=database_url, **mail) as product:
            admin, agent = (Api(product.base_url, key) for key in
                            (product.admin_key, product.agent_key))  # fmt: skip
            await admin.made("/api/targets", name="notes", base_url=upstream.url,
                             settings={"networks": ["127.0.0.0/8"]})  # fmt: skip
            asked = await agent.made(
                "/api/requests", action="http.request", target="notes", reason="tidy up",
                params={"method": "POST", "path": "/echo/7"},
            )  # fmt: skip
            await sink.until(lambda: len(sink.mails) == 1)
            first = sink.mails[0]
            assert first["To"] == EMAIL
            (link,) = re.findall(r"Decide: (\S+)", parts(first)[0])
            link = link.replace(link.split("/l/")[0], product.base_url)
            async with httpx.AsyncClient() as browser:
                await prefetch(browser, link, 200)
                assert (await admin.call("GET", f"/api/requests/{asked['id']}"))[1]["status"] == (
                    "pending"
                )
                page = await browser.get(link)
                assert page.headers["referrer-policy"] == "no-referrer"
                assert page.headers["cache-control"] == "no-store"
                assert "POST" in page.text and "tidy up" in page.text
                (form,) = re.findall(r'name="form" value="([^"]+)"', page.text)
                vote = {"form": form, "decision": "approve", "comment": "fine"}
                foreign = {"Origin": "https://evil.example"}
                assert (await browser.post(link, data=vote, headers=foreign)).status_code == 410
                bad = await browser.post(link, data={**vote, "form": "0" * 64})
                assert bad.status_code == 410
                done = await browser.post(link, data=vote)
                assert done.status_code == 200 and "is counted" in done.text
                assert (await browser.post(link, data=vote)).status_code == 410
                assert (await browser.get(link)).status_code == 410
                assert (await browser.get(f"{link}x")).status_code == 404
            final = (await agent.call("GET", f"/api/requests/{asked['id']}?wait=20"))[1]
            assert final["status"] == "succeeded", final
            await sink.until(lambda: len(sink.mails) >= 2)
            assert sink.mails[-1]["In-Reply-To"] == first["Message-ID"]
            trail = (await admin.call("GET", f"/api/requests/{asked['id']}/audit"))[1]["items"]
            (decided,) = [item for item in trail if item["event"] == "request.approved"]
            assert decided["details"]["channel"] == "link"
            assert len(decided["details"]["display"]) == 64
            await asyncio.to_thread(product.stop)
        assert [received.method for received in upstream.log] == ["POST"]


async def prefetch(browser: httpx.AsyncClient, link: str, times: int) -> None:
    """Do what scanners and previews do."""
    for number in range(times):
        agent = {"User-Agent": SCANNERS[number % len(SCANNERS)]}
        method = ("GET", "HEAD", "OPTIONS")[number % 3]
        answer = await browser.request(method, link, headers=agent)
        assert answer.status_code in (200, 405)
