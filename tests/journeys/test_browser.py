"""The whole story in a browser: set-up, agent, key, inbox, approval; with and without script."""

import json
import os
import re
import selectors
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support import axe
from tests.support.browser import chromium

pytestmark = [
    pytest.mark.requirement("DASH-1", "PPL-1", "PPL-3"),
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("browser"),
]
PASSWORD = "correct horse battery staple"
DEADLINE = 60.0


@dataclass
class Site:
    """A running product with its one-time link."""

    base: str
    link: str

    def ask(self, key: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.base}/api/requests",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@pytest.fixture
def site(tmp_path: Path) -> Generator[Site, None, None]:
    environment = {
        **os.environ, "ASSENTRY_DATA_DIR": str(tmp_path / "data"), "ASSENTRY_PORT": "0",
    }  # fmt: skip
    command = [str(Path(sys.executable).parent / "assentry"), "up", "--example"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        link = printed_link(process)
        yield Site(link.split("/setup")[0], link)
    finally:
        process.terminate()
        code = process.wait(DEADLINE)
        assert process.stdout is not None
        process.stdout.close()
        assert code == 0


def printed_link(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    text, until = "", time.monotonic() + DEADLINE
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < until and ready.select(until - time.monotonic()):
            data = os.read(process.stdout.fileno(), 65_536)
            assert data, f"it ended early: {text}"
            text += data.decode()
            if found := re.search(r"http\S+token=\S+", text):
                return found[0]
    raise AssertionError(text)


@pytest.fixture(scope="module")
def browser() -> Generator[Browser, None, None]:
    with chromium() as running:
        yield running


def context(browser: Browser, *, script: bool = True, **options: Any) -> BrowserContext:
    made = browser.new_context(java_script_enabled=script, **options)
    made.set_default_timeout(15_000)
    return made


def set_up(page: Page, site: Site) -> None:
    page.goto(site.link)
    page.fill("#name", "Anne Arbor")
    page.fill("#email", "anne@example.org")
    page.fill("#password", PASSWORD)
    page.check("[name=works_alone]")
    page.click("text=Create the account")
    page.wait_for_url(f"{site.base}/")


def make_key(page: Page, site: Site) -> str:
    page.goto(f"{site.base}/agents")
    page.fill("#name", "robot")
    page.locator("button", has_text="Add the agent").click()
    page.locator("button", has_text="Make the key").click()
    return page.inner_text(".secret pre >> nth=0").strip()


def delete_note(site: Site, key: str, number: int = 1) -> dict[str, Any]:
    params = {"method": "DELETE", "path": f"/notes/{number}"}
    return site.ask(key, action="http.request", target="example", params=params, reason="done")


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_from_set_up_to_an_executed_call(site: Site, browser: Browser, script: bool) -> None:
    page = context(browser, script=script).new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    set_up(page, site)
    key = make_key(page, site)
    asked = delete_note(site, key)
    assert asked["status"] == "pending"
    page.goto(f"{site.base}/")
    page.click(f"a[href='/requests/{asked['id']}']")
    assert "DELETE http://127.0.0.1" in page.inner_text("h1")
    assert "Authorization: <example-token>" in page.inner_text("main")
    assert asked["digest"] in page.inner_text("main")
    page.fill("#comment", "looked at it")
    page.click("button.approve")
    until = time.monotonic() + DEADLINE
    while "succeeded" not in page.inner_text("#state"):
        assert time.monotonic() < until
        page.reload()
    assert "Water the plants" in page.inner_text("main")
    assert "looked at it" in page.inner_text("main")
    assert errors == []


def test_the_set_up_closes_for_good(site: Site, browser: Browser) -> None:
    set_up(context(browser).new_page(), site)
    page = context(browser).new_page()
    page.goto(site.link)
    assert page.url.startswith(f"{site.base}/sign-in")
    page.fill("#email", "anne@example.org")
    page.fill("#password", "not the right password")
    page.click("button.primary")
    assert "bad_credentials" in page.inner_text("main")
    page.fill("#password", PASSWORD)
    page.click("button.primary")
    page.wait_for_url(f"{site.base}/")


def test_the_inbox_is_live_and_keys_decide(site: Site, browser: Browser) -> None:
    page = context(browser).new_page()
    set_up(page, site)
    key = make_key(page, site)
    page.goto(f"{site.base}/")
    page.mouse.move(0, 0)
    asked = delete_note(site, key)
    card = page.locator(f"a[href='/requests/{asked['id']}']")
    expect(card).to_be_visible()
    page.keyboard.press("j")
    expect(card).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/requests/{asked['id']}")
    page.keyboard.press("d")
    page.keyboard.type("not today")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state .status")).to_have_text("denied")
    assert "not today" in page.inner_text("main")


@pytest.mark.requirement("T5", "T6", "T13", "T14")
def test_hostile_text_stays_text_and_foreign_forms_are_refused(
    site: Site, browser: Browser
) -> None:
    opened = context(browser)
    page = opened.new_page()
    set_up(page, site)
    key = make_key(page, site)
    hostile = "evil\u202egnp.exe p\u0430ypal <img src=x onerror=alert(1)> {{7*7}} \u200b"
    asked = site.ask(key, action="send_mail", params={"text": hostile}, reason=hostile)
    page.goto(f"{site.base}/requests/{asked['id']}")
    text = page.inner_text("main")
    assert "\\u{202E}" in text
    assert "\u202e" not in text
    assert "{{7*7}}" in text
    assert page.locator("main img").count() == 0
    assert page.locator("mark.mixed").count() >= 1
    elsewhere = opened.new_page()
    elsewhere.set_content(
        f"<form method=post action='{site.base}/requests/{asked['id']}/decide'>"
        f"<input name=decision value=approve><input name=digest value={asked['digest']}>"
        "<button>x</button></form>"
    )
    elsewhere.click("button")
    assert "/requests/" not in elsewhere.url  # the cookie did not go along: one is led back
    page.reload()
    expect(page.locator("#state .status")).to_have_text("pending")
    page.reload()
    assert "pending" in page.inner_text("#state")
    assert page.request.get(f"{site.base}/").headers["x-frame-options"] == "DENY"


def test_forms_take_what_they_show(site: Site, browser: Browser) -> None:
    page = context(browser, script=False).new_page()
    set_up(page, site)
    make_key(page, site)
    for listed, kind in (("targets", "tgt"), ("agents", "agt")):
        page.goto(f"{site.base}/{listed}")
        page.locator(f"a[href^='/{listed}/{kind}_']").first.click()
        address = page.url
        saves = page.locator("form:has(button:text-is('Save'))")
        count = saves.count()
        assert count >= 1
        for number in range(count):
            page.goto(address)
            page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
            assert saves.nth(number).evaluate("form => form.checkValidity()"), address
            with page.expect_navigation(timeout=DEADLINE * 1000) as went:
                saves.nth(number).locator("button:text-is('Save')").click()
            assert went.value is not None and went.value.ok, page.inner_text("main")
    page.goto(f"{site.base}/targets")
    page.click("summary:has-text('Add a target')")
    form = page.locator("form[action='/targets']")
    form.locator("[name=name]").fill("own")
    form.locator("[name=base_url]").fill("https://api.example.com")
    with page.expect_navigation() as went:
        form.locator("button.primary").click()
    assert went.value is not None and went.value.ok, page.inner_text("main")


def test_new_requests_wait_behind_a_bar(site: Site, browser: Browser) -> None:
    page = context(browser).new_page()
    set_up(page, site)
    key = make_key(page, site)
    first = delete_note(site, key)
    page.goto(f"{site.base}/")
    rows = page.locator("li[data-id]")
    expect(rows).to_have_count(1)
    second = delete_note(site, key, 2)
    bar = page.locator("text=1 new – show")
    expect(bar).to_be_visible(timeout=DEADLINE * 1000)
    assert rows.count() == 1, "rows do not move under a finger"
    bar.click()
    expect(rows).to_have_count(2)
    assert {row.get_attribute("data-id") for row in rows.all()} == {first["id"], second["id"]}
    expect(page).to_have_title(re.compile(r"^\(2\) Inbox"))


@pytest.mark.requirement("HOOK-1", "DEC-3", "PPL-4", "CH-7")
@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_webhooks_groups_leave_and_preferences(site: Site, browser: Browser, script: bool) -> None:
    page = context(browser, script=script).new_page()
    set_up(page, site)
    page.goto(f"{site.base}/notices")
    page.click("summary:has-text('Make a webhook')")
    page.fill("#name", "hook")
    page.fill("#url", "https://hooks.example.org/x")
    page.click("text=Make the webhook")
    assert page.inner_text(".secret pre").startswith("whsec_")
    page.click("a:has-text('hook')")
    page.click("text=Replace the secret")
    assert page.inner_text(".secret pre").startswith("whsec_")
    page.goto(f"{site.base}/people")
    page.click("summary:has-text('Add a person')")
    page.fill("#name", "Ben")
    page.fill("#email", "ben@example.org")
    page.fill("#password", PASSWORD)
    page.fill("#own_password", PASSWORD)
    page.click("text=Add the person")
    expect(page.locator("td", has_text="ben@example.org")).to_be_visible()
    page.click("summary:has-text('Make a group')")
    page.fill("#group-name", "oncall")
    page.locator("details:has(#group-name) input[type=checkbox]").first.check()
    page.click("text=Make the group")
    expect(page.locator("summary", has_text="oncall")).to_contain_text("1 member")
    page.goto(f"{site.base}/account")
    page.click("summary:has-text('Let somebody stand in')")
    page.fill("#starts", "2099-01-01T00:00")
    page.fill("#ends", "2099-01-08T00:00")
    page.fill("#leave-password", PASSWORD)
    page.locator("form[action='/account/leave'] button").click()
    expect(page.locator("li", has_text="Ben stands in for Anne Arbor")).to_be_visible()
    page.click("summary:has-text('Change that')")
    page.fill("#quiet_from", "22:00")
    page.fill("#quiet_to", "07:00")
    page.locator("form[action='/account/preferences'] button").click()
    expect(page.locator("li", has_text="quiet 22:00 to 07:00 (UTC)")).to_be_visible()


@pytest.mark.requirement("DASH-2")
@pytest.mark.requirement("DEC-9")
@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_several_are_looked_at_and_decided_together(
    site: Site, browser: Browser, script: bool
) -> None:
    page = context(browser, script=script).new_page()
    set_up(page, site)
    key = make_key(page, site)
    asked = [delete_note(site, key, number) for number in (1, 2, 3)]
    page.goto(site.base)
    for one in asked[:2]:
        page.check(f"[name=pick][value={one['id']}]")
    page.click("text=Review the selected together")
    expect(page.locator("article.request")).to_have_count(2)
    assert "/notes/1" in page.inner_text("main") and "/notes/3" not in page.inner_text("main")
    late = page.context.new_page()
    late.goto(page.url)
    page.fill("[name=comment]", "tidying")
    page.click("text=Deny 2")
    expect(page.locator("h1")).to_have_text("2 of 2 counted")
    late.click("text=Approve 2")
    expect(late.locator("h1")).to_have_text("0 of 2 counted")
    late.goto(f"{site.base}/decisions?pick={asked[0]['id']}")
    expect(late.locator("h1")).to_have_text("Nothing of this waits any more")
    page.goto(f"{site.base}/requests?status=pending")
    assert "/notes/3" in page.inner_text("main") and "/notes/1" not in page.inner_text("main")


def test_every_page_is_accessible(site: Site, browser: Browser) -> None:
    source = axe.script()
    opened = context(browser, bypass_csp=True, color_scheme="light")
    page = opened.new_page()
    page.goto(site.link)
    assert violations(page, source) == []
    set_up(page, site)
    key = make_key(page, site)
    assert violations(page, source) == []
    asked = delete_note(site, key)
    other = delete_note(site, key, 2)
    listed = [
        f"/decisions?pick={asked['id']}&pick={other['id']}",
        "/", "/requests", f"/requests/{asked['id']}", "/policies", "/policies/new",
        "/policies/dry-run", "/targets", "/agents", "/people", "/audit", "/account", "/notices",
        "/nope",
    ]  # fmt: skip
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for path in listed:
            page.goto(site.base + path)
            assert violations(page, source) == [], (scheme, path)
    page.set_viewport_size({"width": 390, "height": 844})
    for path in listed:
        page.goto(site.base + path)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, (path, width)
    page.click("button.menu")
    assert violations(page, source) == []
    page.goto(f"{site.base}/audit")
    assert violations(page, source) == []


@pytest.mark.requirement("POL-8")
@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_a_policy_is_written_in_a_form_and_holds(
    site: Site, browser: Browser, script: bool
) -> None:
    source = axe.script()
    page = context(browser, script=script, bypass_csp=True).new_page()
    set_up(page, site)
    key = make_key(page, site)
    page.goto(f"{site.base}/policies/new")
    page.fill("#name", "No tidying")
    page.select_option("#effect", "deny")
    page.fill("#paths", "notes")
    page.fill("#targets", "example")
    page.fill("#priority", "1")
    page.click("text=Create the policy")
    expect(page.locator("label[for=paths] .wrong")).to_be_visible()
    assert page.input_value("#targets") == "example"
    if script:
        assert violations(page, source) == []
    page.fill("#paths", "/notes/*")
    page.fill("#methods", "delete")
    page.click("text=Create the policy")
    page.wait_for_url("**/policies/pol_*")
    assert page.input_value("#methods") == "DELETE"
    page.click("summary:has-text('Edit as JSON')")
    assert '"glob": [' in page.input_value("#document")
    asked = delete_note(site, key)
    assert asked["status"] == "denied"
    page.goto(f"{site.base}/requests/{asked['id']}")
    expect(page.locator("#happened")).to_have_text("Denied by policy No tidying")
    expect(page.locator(".crumb")).to_contain_text("History")


@pytest.mark.parametrize("width", [320, 390])
def test_the_menu_of_a_phone_is_one_row_for_the_keyboard_too(
    site: Site, browser: Browser, width: int
) -> None:
    opened = context(browser, script=False, viewport={"width": width, "height": 800})
    page = opened.new_page()
    set_up(page, site)
    page.goto(f"{site.base}/policies")
    header, audit = page.locator("header"), page.locator("nav a", has_text="Audit")
    box = header.bounding_box()
    assert box is not None and box["height"] < 60
    expect(audit).to_be_hidden()
    for _ in range(9):
        page.keyboard.press("Tab")
        if page.locator("button.menu:focus-visible").count():
            break
    page.keyboard.press("Enter")
    expect(audit).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("nav a", has_text="Inbox")).to_be_focused()
    page.keyboard.press("Escape")
    expect(audit).to_be_hidden()
    page.click("button.menu")
    audit.click()
    page.wait_for_url(f"{site.base}/audit")
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(audit).to_be_visible()
    expect(page.locator("button.menu")).to_be_hidden()


def violations(page: Page, source: str) -> list[str]:
    page.evaluate(source)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = page.evaluate("tags => axe.run(document, {runOnly: tags})", tags)
    return [
        f"{item['id']}: {node['target']} {node.get('failureSummary', '')}"
        for item in found["violations"]
        for node in item["nodes"]
    ]


@pytest.mark.requirement("REQ-8")
@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_call_of_a_bundle_is_left_out(
    site: Site, browser: Browser, script: bool, width: int
) -> None:
    page = context(browser, script=script, viewport={"width": width, "height": 800}).new_page()
    set_up(page, site)
    key = make_key(page, site)
    calls = [
        {"method": "POST", "path": "/notes", "json": {"text": f"number {n}"}, "note": f"note {n}"}
        for n in (1, 2, 3)
    ]
    asked = site.ask(
        key, action="http.bundle", target="example", params={"calls": calls}, reason="three"
    )
    page.goto(f"{site.base}/requests/{asked['id']}")
    assert "3 calls (POST) at example" in page.inner_text("h1")
    for n in (1, 2, 3):
        assert f"number {n}" in page.inner_text("main")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    folder = os.environ.get("BUNDLE_SHOTS")
    if folder:
        page.screenshot(path=f"{folder}/bundle-{width}-{script}.png", full_page=True)
    page.focus("[name='except.2']")
    page.keyboard.press("Space")
    expect(page.locator("[name='except.2']")).to_be_checked()
    page.locator("button.approve").focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    until = time.monotonic() + DEADLINE
    while not script and "succeeded" not in page.inner_text("#state"):
        assert time.monotonic() < until
        page.reload()
    expect(page.locator("#state")).to_contain_text("succeeded", timeout=DEADLINE * 1000)
    stands = page.locator("ol.calls .status").all_inner_texts()
    assert stands == ["succeeded", "excluded", "succeeded"]
    assert "left out by Anne Arbor" in page.inner_text("ol.calls")
    if folder:
        page.screenshot(path=f"{folder}/done-{width}-{script}.png", full_page=True)
    page.click("a[aria-label='Answer to call 3']")
    assert "number 3" in page.inner_text("main")
