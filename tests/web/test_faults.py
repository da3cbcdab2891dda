"""A form with several mistakes tells all of them, each at its field and above the form."""

import re
from dataclasses import replace

import pytest

from app.core.calls import CallRule
from app.core.errors import InvalidField
from app.core.ssh_action import SshHop
from app.core.ssh_target import SshSettings
from app.core.targets import TargetSettings
from app.web.dashboard.faults import faults_of, marked
from tests.web.conftest import Door
from tests.web.test_doors import administrator
from tests.web.test_selection import fields

pytestmark = pytest.mark.requirement("DASH-1")


def wrong(page: str) -> dict[str, str]:
    """Return by name of a field what a page says beside it."""
    beside = r'<span class="wrong">([^<]*)</span></label>\s*<\w+ id="[^"]*" name="([^"]*)" aria-inv'
    return {name: said for said, name in re.findall(beside, page)}


async def test_all_that_is_wrong_is_told_at_once(door: Door) -> None:
    browser, agent = await administrator(door), f"/agents/{door.world.agent.id}"
    forms: tuple[tuple[str, str, dict[str, str]], ...] = (
        ("/people", "/people", {"name": "", "email": "x", "password": "x", "role": "viewer"}),
        ("/agents", "/agents", {"name": "", "open_limit": "9999999", "rate": "often"}),
        (agent, agent, {"name": "", "open_limit": "9999999", "rate": "often"}),
        ("/agents", "/agents", {"name": "", "open_limit": "many", "rate": "often"}),
        (agent, f"{agent}/keys", {"name": "", "permissions": "a GET b", "rate_limit": "x",
                                  "days": "0"}),
        (agent, f"{agent}/keys", {"name": "k", "networks": "here", "rate_limit": "1000001",
                                  "request:read": "on"}),
        ("/targets", "/targets", {"name": "A b", "base_url": "ftp://x", "networks": "inside",
                                  "methods": "FETCH", "rate": "often", "total_seconds": "0",
                                  "breaker_window": "0"}),
        ("/targets", "/targets", {"name": "a", "allow": "?", "total_seconds": "x",
                                  "response_bytes": "y", "rules": "nobody GET"}),
        ("/targets", "/ssh-hosts", {"name": "A b", "host": "?", "user": "", "port": "99999",
                                    "marker_dir": "x"}),
        ("/notices", "/notices/webhooks", {"name": "", "url": "ftp://x"}),
        ("/connections", "/connections", {
            "kind": "oauth2", "client_auth": "body", "name": "A b", "client_id": "é",
            "token_url": "ftp://x", "authorize_url": "", "revoke_url": "y", "scopes": 'a"b',
            "client_secret": "short", "networks": "inside", "issuer": "é", "extra": "state: x",
        }),
        ("/targets?kind=bearer", "/credentials", {
            "credential_name": "A b", "credential_description": "x" * 2001, "field_token": "x",
        }),
        ("/people", "/people/groups", {"name": "A b", "description": "x" * 2001}),
        ("/account", "/account/leave", {"starts": "", "ends": "soon", "password": "unseen"}),
        ("/account", "/account/leave", {"starts": "2026-01-02T00:00", "ends": "2026-01-01T00:00",
                                        "actions": "a*" * 40, "note": "x" * 2001,
                                        "password": "unseen"}),
    )  # fmt: skip
    for page, address, given in forms:
        sent = await browser.post(address, data={**fields(await browser.get(page)), **given})
        right = {name for name, text in given.items() if (name, text) in _RIGHT}
        names = set(given) - right
        assert (sent.status_code, set(wrong(sent.text))) == (400, names), (
            address,
            wrong(sent.text),
        )
        box = sent.text.split('role="alert"')[1].split("</div>")[0]
        assert box.count("<li>") == len(names) and "Nothing was changed" in box


_RIGHT = {
    ("role", "viewer"), ("kind", "oauth2"), ("client_auth", "body"), ("request:read", "on"),
    ("name", "a"), ("name", "k"),
    ("starts", "2026-01-02T00:00"), ("password", "unseen"),
}  # fmt: skip
"""What is no mistake, or is not looked at where there is one."""

_KEYS = tuple(f"SHA256:{letter * 43}" for letter in "AE")
_SSH = SshSettings(
    host="box", user="ops", file_bytes=77, jumps=(SshHop("way", 22, "ops", _KEYS),)
)  # fmt: skip


@pytest.mark.requirement("GW-4")
@pytest.mark.parametrize("ssh", [None, _SSH])
async def test_a_target_keeps_what_was_written_and_what_no_field_says(
    door: Door, ssh: SshSettings | None
) -> None:
    targets, anne = door.world.services.targets, door.world.anne
    settings = TargetSettings(connect_seconds=3.0, breaker_window=61, networks=("10.0.0.0/8",),
                              idle_seconds=0.5, methods=("GET", "WEBSOCKET"),
                              allow=(CallRule(("GET",), ("/a",)),), ssh=ssh)  # fmt: skip
    made = await targets.create(
        anne, name="shop", base_url="" if ssh else "https://a.example", settings=settings
    )
    browser, address = await administrator(door), f"/targets/{made.id}{'/ssh' if ssh else ''}"
    page = await browser.get(f"/targets/{made.id}")
    given = {**inputs(page.text.split(f'action="{address}"')[1]), "networks": "10.1.0.0/16"}
    assert given["file_bytes" if ssh else "breaker_window"] == ("77" if ssh else "61")
    refused = await browser.post(address, data={**given, "name": "A shop", "rate": "often"})
    assert (refused.status_code, set(wrong(refused.text))) == (400, {"name", "rate"})
    for kept in ('value="A shop"', 'value="often"', 'value="10.1.0.0/16"'):
        assert kept in refused.text
    assert (await targets.get(anne, made.id)).settings == settings
    assert (await browser.post(address, data=given)).status_code == 303
    after = (await targets.get(anne, made.id)).settings
    assert after == replace(settings, networks=("10.1.0.0/16",))


def inputs(form: str) -> dict[str, str]:
    """Return what a browser would send of a form, by the beginning of a page with it."""
    text = form.split("</form>", maxsplit=1)[0]
    found = re.findall(r'<input [^>]*?name="([^"]+)"[^>]*? value="([^"]*)"', text)
    areas = re.findall(r'<textarea [^>]*?name="([^"]+)"[^>]*>([^<]*)</textarea>', text)
    ticks = re.findall(r'type="checkbox" name="([^"]+)" checked', text)
    return {**dict(found), **dict(areas), **dict.fromkeys(ticks, "on")}


async def test_a_group_is_made_mended_and_removed(door: Door) -> None:
    browser, accounts, anne = (
        await administrator(door), door.world.services.accounts, door.world.anne,
    )  # fmt: skip
    form, person = fields(await browser.get("/people")), anne.person
    assert person is not None
    made = {**form, "name": "ops", "description": "who is on call", person.id: "on"}
    assert (await browser.post("/people/groups", data=made)).status_code == 303
    await accounts.put_group(anne, None, "other", "", [])
    group = next(one for one in await accounts.groups(anne) if one.name == "ops")
    assert (group.description, group.members) == ("who is on call", (person.id,))
    here = f"/people/groups/{group.id}"
    refused = await browser.post(here, data={**form, "name": "A b", "description": "mine"})
    assert refused.status_code == 400 and refused.text.count('<span class="wrong">') == 1
    own = refused.text.split(f'action="{here}"')[1].split("</form>")[0]
    assert set(wrong(own)) == {"name"} and 'value="mine"' in own and "checked" not in own
    assert (await browser.post(here, data={**form, "name": "on-call"})).status_code == 303
    assert sorted(one.name for one in await accounts.groups(anne)) == ["on-call", "other"]
    assert (await browser.post(here, data={**form, "what": "delete"})).status_code == 303
    assert [one.name for one in await accounts.groups(anne)] == ["other"]


async def test_a_program_is_told_all_of_it_too(door: Door) -> None:
    client = await door.client("admin")
    answer = await client.post("/api/targets", json={"name": "A b", "base_url": "ftp://x"})
    said = answer.json()
    assert (answer.status_code, said["pointer"]) == (400, "/base_url")
    assert [(one["pointer"], one["code"]) for one in said["errors"]] == [
        ("/base_url", "invalid_field"), ("/name", "invalid_field"),
    ]  # fmt: skip
    alone = (await client.post("/api/targets", json={"name": "a", "base_url": "ftp://x"})).json()
    assert "errors" not in alone


async def test_one_mistake_alone_is_one_sentence(door: Door) -> None:
    browser = await administrator(door)
    form = {**fields(await browser.get("/people")), "name": "Mia", "email": "mia@example.org",
            "role": "viewer", "password": "short"}  # fmt: skip
    sent = await browser.post("/people", data=form)
    assert set(wrong(sent.text)) == {"password"} and "At “First password”" in sent.text


def test_only_the_form_that_was_sent_is_marked() -> None:
    field = '<label for="n">Name</label>\n  <input id="n" name="name" value="">'
    page = "".join(f'<form method="post" action="/{one}">{field}</form>' for one in "ab")
    faults = faults_of(InvalidField("<no>", pointer="/name"), page, "/b")
    assert [(one.field, one.label) for one in faults] == [("name", "Name")]
    first, second = marked(page, "/b", faults).split("</form><form")
    assert "wrong" not in first and '<span class="wrong">&lt;no&gt;</span></label>' in second
    assert marked(page, "/c", faults) == page
    nowhere = faults_of(InvalidField("no", pointer="/other/0"), page, "/b")
    assert marked(page, "/b", nowhere) == page and nowhere[0].label == ""
