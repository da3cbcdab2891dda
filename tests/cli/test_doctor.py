"""`assentry doctor`: one line for each thing that can be wrong."""

import asyncio
import json
import sqlite3
from pathlib import Path

import httpx
import pytest

from tests.support.postgres import PostgresServer
from tests.support.server import free_port, installation, run
from tests.support.smtp import MailSink

pytestmark = pytest.mark.requirement("OPS-2")

CHECKS = ["settings", "master key", "database", "clock", "record", "command rules", "policies",
          "targets", "queues", "port"]  # fmt: skip


def examined(env: dict[str, str]) -> tuple[int, dict[str, tuple[bool, str]]]:
    done = run(env, "doctor", "--json")
    findings = json.loads(done.stdout)
    return done.returncode, {one["check"]: (one["good"], one["detail"]) for one in findings}


def bad(env: dict[str, str]) -> dict[str, str]:
    code, findings = examined(env)
    assert code == 1
    return {check: detail for check, (good, detail) in findings.items() if not good}


@pytest.fixture
def migrated(env: dict[str, str]) -> dict[str, str]:
    assert run(env, "migrate").returncode == 0
    return {**env, "ASSENTRY_PORT": str(free_port())}


def statement(env: dict[str, str], sql: str) -> None:
    with sqlite3.connect(Path(env["ASSENTRY_DATA_DIR"]) / "assentry.db") as connection:
        connection.execute(sql)


def test_a_good_installation(migrated: dict[str, str]) -> None:
    code, findings = examined(migrated)
    assert (code, list(findings)) == (0, CHECKS)
    assert findings["port"][1].endswith("is free")
    done = run(migrated, "doctor")
    assert done.returncode == 0
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == [
        f"ok   {check}" for check in CHECKS
    ]


@pytest.mark.requirement("SSH-3")
def test_broken_rules_for_commands_are_named(migrated: dict[str, str], tmp_path: Path) -> None:
    env = {**migrated, "ASSENTRY_COMMAND_RULES": str(tmp_path / "rules")}
    assert "no such folder" in bad(env)["command rules"]
    (tmp_path / "rules").mkdir()
    _, findings = examined(env)
    assert findings["command rules"][0]
    profile = 'name = "app"\ntitle = "App"\ndescription = "App."\n\n[[program]]\nname = ["x"]\n'
    (tmp_path / "rules" / "app.toml").write_text(profile, "utf-8")
    said = bad(env)["command rules"]
    assert "app.toml, line 6" in said and "last good set" in said


@pytest.mark.requirement("CH-6")
@pytest.mark.parametrize(
    ("given", "channel", "words"),
    [
        ({"EMAIL_HOST": "127.0.0.1"}, "email", "SENDER"),
        ({"SLACK_BOT_TOKEN": "none"}, "slack", "APP_TOKEN"),
        ({"SLACK_BOT_TOKEN_FILE": "/none"}, "slack", "cannot read /none"),
        ({"DISCORD_TOKEN_FILE": "/none"}, "discord", "cannot read /none"),
    ],
)
def test_a_channel_whose_settings_are_not_whole_is_a_finding(
    migrated: dict[str, str], given: dict[str, str], channel: str, words: str
) -> None:
    env = {**migrated, **{f"ASSENTRY_{name}": text for name, text in given.items()}}
    found = bad(env)
    assert list(found) == [channel]
    assert words in found[channel]
    done = run(env, "doctor")
    assert "Traceback" not in done.stderr + done.stdout and "UserWarning" not in done.stderr


@pytest.mark.requirement("CH-6", "DEC-3")
def test_routes_are_said_that_reach_nobody_here(tmp_path: Path) -> None:
    with installation(tmp_path / "data") as product:
        route = {"notify": [{"channel": "email", "to": ["ops@example.org"]}]}
        rule = {"name": "asks", "effect": "review", "match": {"action": "x"}, "route": route}
        made = httpx.post(
            f"{product.base_url}/api/policies", json={"name": "mails", "rules": [rule]},
            headers={"Authorization": f"Bearer {product.admin_key}"},
        )  # fmt: skip
        assert made.status_code == 201
        assert "the channel email is not set up here" in examined(product.env)[1]["policies"][1]
        mail = {"EMAIL_HOST": "127.0.0.1", "EMAIL_SENDER": "gate@example.org"}
        env = {**product.env, **{f"ASSENTRY_{name}": text for name, text in mail.items()}}
        assert examined(env)[1]["policies"] == (True, "1 in force, revision 1")


@pytest.mark.requirement("CH-6")
async def test_channels_say_who_we_are_there(migrated: dict[str, str]) -> None:
    async with MailSink() as sink:
        env = {**migrated, "ASSENTRY_EMAIL_HOST": "127.0.0.1", "ASSENTRY_EMAIL_SECURITY": "none",
               "ASSENTRY_EMAIL_SENDER": "gate@example.org"}  # fmt: skip
        up = {**env, "ASSENTRY_EMAIL_PORT": str(sink.port)}
        code, findings = await asyncio.to_thread(examined, up)
        assert (code, list(findings)) == (0, [*CHECKS, "email"])
        assert findings["email"] == (True, f"127.0.0.1:{sink.port} as gate@example.org")
    down = {**env, "ASSENTRY_EMAIL_PORT": str(free_port())}
    assert await asyncio.to_thread(bad, down) == {"email": "the mail server cannot be reached"}


def test_a_running_installation(tmp_path: Path) -> None:
    with installation(tmp_path / "data") as made:
        port = made.base_url.rpartition(":")[2]
        code, findings = examined({**made.env, "ASSENTRY_PORT": port})
    assert code == 0
    assert findings["port"][1].endswith("is served")


def test_nothing_there_yet_and_nothing_is_made(env: dict[str, str]) -> None:
    assert set(bad(env)) == {*CHECKS} - {"settings", "command rules", "port"}
    assert list(Path(env["ASSENTRY_DATA_DIR"]).iterdir()) == []


def test_settings_that_are_wrong(env: dict[str, str]) -> None:
    assert "ASSENTRY_PROT" in bad({**env, "ASSENTRY_PROT": "1"})["settings"]


def test_a_key_file_that_others_can_read(migrated: dict[str, str]) -> None:
    (Path(migrated["ASSENTRY_DATA_DIR"]) / "master.key").chmod(0o644)
    found = bad(migrated)
    assert "chmod 600" in found["master key"]
    given = Path(migrated["ASSENTRY_DATA_DIR"]) / "given.key"
    given.write_bytes((given.parent / "master.key").read_bytes())
    given.chmod(0o644)
    code, findings = examined({**migrated, "ASSENTRY_MASTER_KEY_FILE": str(given)})
    assert code == 0
    assert "can read" in findings["master key"][1]


def test_a_schema_of_another_version(migrated: dict[str, str]) -> None:
    statement(migrated, "UPDATE alembic_version SET version_num = '20200101_0000'")
    assert "run 'assentry migrate'" in bad(migrated)["database"]


def test_a_policy_that_cannot_be_read(migrated: dict[str, str]) -> None:
    statement(
        migrated,
        "INSERT INTO policies VALUES ('pol_1', 'p', 1, 1, 1, '{\"nonsense\": 1}', '', 1, 1)",
    )
    assert set(bad(migrated)) == {"policies"}


@pytest.mark.requirement("EXE-7")
def test_work_that_nobody_takes(migrated: dict[str, str]) -> None:
    statement(
        migrated,
        "INSERT INTO jobs (kind, request_id, run_at, tries, dead, last_error, lane, agent_id, rank)"
        " VALUES ('execute', 'req_1', 1, 0, false, '', 'decided', 'agt_1', 0)",
    )
    found = bad(migrated)
    assert set(found) == {"queues"}
    assert "work waits for a worker; actions that people approved: 1 for" in found["queues"]


@pytest.mark.requirement("HOOK-1")
def test_deliveries_that_fail(migrated: dict[str, str]) -> None:
    statement(
        migrated,
        "INSERT INTO deliveries VALUES ('dlv_1', 'event', 'webhook', 'whk_1', NULL, NULL, NULL,"
        " 'x', 't', '', '', '', true, 1, 0, 'due', 2, 2, 1, NULL, 'HTTP 500', 1, 1, NULL)",
    )
    assert "are tried again; webhook: 1; see" in bad(migrated)["queues"]


def test_a_database_that_does_not_answer(migrated: dict[str, str], tmp_path: Path) -> None:
    url = f"postgresql://nobody:hidden-word@/nothing?host={tmp_path}"
    found = bad({**migrated, "ASSENTRY_DATABASE_URL": url})
    assert set(found) == {"database", "clock", "record", "policies", "targets", "queues"}
    assert "does not answer" in found["database"]
    assert "hidden-word" not in str(found)


@pytest.mark.requirement("AUD-1")
def test_a_record_that_was_changed_by_other_means(migrated: dict[str, str]) -> None:
    with sqlite3.connect(Path(migrated["ASSENTRY_DATA_DIR"]) / "assentry.db") as database:
        database.execute("DROP TRIGGER audit_kept")
    code, findings = examined(migrated)
    assert (code, findings["record"][0]) == (1, False)
    assert "audit_kept is missing" in findings["record"][1]


@pytest.mark.requirement("OPS-1")
def test_on_postgresql(env: dict[str, str], postgres: PostgresServer) -> None:
    with postgres.database() as url:
        env = {**env, "ASSENTRY_DATABASE_URL": url, "ASSENTRY_PORT": str(free_port())}
        assert run(env, "migrate").returncode == 0
        code, findings = examined(env)
    assert code == 0, findings
    assert "from this machine's" in findings["clock"][1]
