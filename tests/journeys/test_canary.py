"""A planted secret: it reaches the upstream, and after a whole journey it is found nowhere else."""

import base64
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
from sqlalchemy import create_engine, text

from app.store.database import Database
from tests.support.api import Api
from tests.support.canary import TAME, WILD, Place, forms, leaks
from tests.support.server import EMAIL, PASSWORD, Installation, installation, run
from tests.support.sweep import Heard, Ids, every_operation, every_page, ids_of
from tests.support.upstream import Upstream

pytestmark = [
    pytest.mark.usefixtures("_clients"),
    pytest.mark.requirement("VLT-1", "T47", "T62"),
    pytest.mark.timeout(300),
]
PATHS = {
    "bearer": ("/echo/a", "/status/401", "/hop/a", "/until-close/a"),
    "headers": tuple(
        f"/leak/{form}{packed}"
        for form in ("raw", "base64", "hex", "json")
        for packed in ("", "-gzip")
    ),
    "tame": ("/leak/raw", "/leak/base64", "/leak/json-gzip"),
    "query": ("/echo/a", "/drop/a", "/garbage/a", "/two-lengths/a", "/reset/a", "/truncated/a"),
}
"""What is called at the target of each kind of credential: answers, errors and breakdowns."""

CREDENTIALS: dict[str, tuple[str, dict[str, str]]] = {
    "bearer": ("bearer", {"token": WILD}),
    "headers": ("headers", {"x-api-key": WILD}),
    "tame": ("headers", {"x-api-key": TAME}),
    "query": ("query", {"key": WILD}),
}

PLANTED = frozenset(forms(WILD) | forms(TAME))
"""What this journey alone writes: a cluster's WAL holds what other tests wrote before it, and one
of them asks for an action whose text repeats the third value."""


async def plant(admin: Api, upstream: Upstream, name: str) -> None:
    """Make a credential, its target and the leave to use one at the other."""
    kind, fields = CREDENTIALS[name]
    credential = await admin.made("/api/credentials", name=name, kind=kind, fields=fields)
    target = await admin.made(
        "/api/targets", name=name, base_url=upstream.url, credential_id=credential["id"],
        settings={"networks": ["127.0.0.0/8"], "total_seconds": 5.0},
    )  # fmt: skip
    status, answer = await admin.call(
        "POST", f"/api/credentials/{credential['id']}/grants", target_id=target["id"]
    )
    assert status == 204, answer


async def blunder(admin: Api) -> None:
    """Send the secret where it is refused: the refusal must not repeat it."""
    for body in (
        {"name": "bad", "kind": "bearer", "fields": {"token": f"{WILD}\n"}},
        {"name": "bad", "kind": "bearer", "fields": {"token": WILD, "more": WILD}},
        {"name": "bad", "kind": "bearer", "fields": WILD},
        {"name": "bad", "kind": "bearer", "fields": {"token": [WILD]}},
        {"name": "bearer", "kind": "bearer", "fields": {"token": WILD}},
    ):
        status, answer = await admin.call("POST", "/api/credentials", **body)
        assert status in (400, 409, 422), answer


async def use(agent: Api, admin: Api, target: str, path: str) -> str:
    """Call the upstream with a person's approval and return what came of it."""
    asked = await agent.made(
        "/api/requests", action="http.request", target=target,
        params={"method": "POST", "path": path, "json": {}},
    )  # fmt: skip
    link = f"/api/requests/{asked['id']}"
    status, answer = await admin.call(
        "POST", f"{link}/decide", decision="approve", digest=asked["digest"]
    )
    assert status == 200, answer
    _, seen = await agent.call("GET", f"{link}?wait=20&until=final")
    for api in (agent, admin):
        for page in ("", "/result", "/audit"):
            await api.call("GET", link + page)
    return str(seen["status"])


async def test_the_secret_is_found_nowhere(database_url: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"database_url": database_url, "log_level": "debug"}
    heard = Heard()
    with installation(tmp_path / "data", servers=1, workers=1, **settings) as place:
        async with Upstream() as upstream:
            outcomes = await journey(place, upstream, heard)
            sent = "\n".join(f"{one.target} {one.headers}" for one in upstream.log)
        alive = [*rows(database_url), *files(tmp_path)]
        shared = cluster(database_url)
        doctor = run(place.env, "doctor")
        assert place.stop() == [0, 0]
    assert set(outcomes) == {"succeeded", "failed", "unknown"}, "not all kinds of ends"
    assert WILD in sent and TAME in sent and quote(WILD, safe="") in sent, "it was never used"
    assert any("[redacted" in said.decode().lower() for _, said in heard.answers)
    assert all(process.err for process in place.processes)
    logs = [
        (f"{process.arguments} {name}", said.encode())
        for process in place.processes
        for name, said in (("out", process.out), ("err", process.err))
    ]
    logs.append(("doctor", (doctor.stdout + doctor.stderr).encode()))
    assert leaks([*heard.answers, *logs, *alive, *rows(database_url), *files(tmp_path)]) == []
    assert leaks(shared, PLANTED) == []


async def journey(place: Installation, upstream: Upstream, heard: Heard) -> list[str]:
    """Walk everything, and return what came of the calls."""
    admin = heard.caller(place.base_url, place.admin_key)
    agent = heard.caller(place.base_url, place.agent_key)
    await admin.made("/api/policies", name="asks", rules=[{"name": "all", "effect": "review"}])
    await admin.made(
        "/api/webhooks", name="hook", url=f"{upstream.url}/echo/hook", networks=["127.0.0.0/8"]
    )
    for name in CREDENTIALS:
        await plant(admin, upstream, name)
    await blunder(admin)
    outcomes = [
        await use(agent, admin, target, path) for target, paths in PATHS.items() for path in paths
    ]
    ids = await ids_of(admin)
    assert await every_operation(admin, ids) > 150
    assert await every_operation(agent, ids) > 50
    await look(place, heard, ids)
    return outcomes


async def look(place: Installation, heard: Heard, ids: Ids) -> None:
    """Sign in, blunder on a form, and see every page."""
    async with httpx.AsyncClient(
        base_url=place.base_url, headers={"Origin": place.base_url}, timeout=60,
        event_hooks={"response": [heard.hear]},
    ) as browser:  # fmt: skip
        await browser.post("/sign-in", data={"email": EMAIL, "password": PASSWORD})
        page = (await browser.get("/targets")).text
        token = re.search(r'name="form_token" value="([^"]+)"', page)
        assert token, "not signed in"
        for name, value in (("bearer", WILD), ("bad", f"{WILD}\u00e9"), ("", WILD)):
            form = {"form_token": token[1], "credential_name": name, "kind": "bearer",
                    "field_token": value, "pairs": value}  # fmt: skip
            assert (await browser.post("/credentials", data=form)).status_code >= 400
        assert await every_page(browser, ids) > 50


def rows(database_url: str) -> list[Place]:
    """Return every row of every table, as the database itself would print it."""
    engine = create_engine(Database(database_url).url)
    sqlite = database_url.startswith("sqlite")
    tables = (
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        if sqlite
        else "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    )
    with engine.connect() as connection:
        names = connection.execute(text(tables)).scalars().all()
        found = [
            (f"table {name}", _plain(value))
            for name in names
            for row in connection.execute(text(f'SELECT * FROM "{name}"'))
            for value in row
        ]
    engine.dispose()
    assert len(names) > 10 and len(found) > 100
    return found


def _plain(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


def files(folder: Path) -> list[Place]:
    """Return every file's bytes, as they are on the disk: database, WAL and whatever else."""
    return [(str(path), path.read_bytes()) for path in folder.rglob("*") if path.is_file()]


def cluster(database_url: str) -> list[Place]:
    """Return the files of the database on a PostgreSQL server, its log and its WAL."""
    if database_url.startswith("sqlite"):
        return []
    engine = create_engine(Database(database_url).url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CHECKPOINT"))
        at = "SELECT current_setting('data_directory'), oid FROM pg_database WHERE datname = "
        data, oid = connection.execute(text(f"{at} current_database()")).one()
    engine.dispose()
    folder = Path(data)
    found = [*files(folder / "base" / str(oid)), *files(folder / "pg_wal")]
    assert found
    return [*found, ("server log", (folder.parent / "log").read_bytes())]


def test_a_leak_would_be_found() -> None:
    """The search itself: each form is seen inside other text, at each alignment."""
    for pad in ("", "k", "ke", "key="):
        inside = base64.b64encode(f"{pad}{WILD} and more".encode())
        assert leaks([("page", b"<p>" + inside)]), pad
    assert leaks([("line", f"GET /?key={quote_plus(WILD)} 500".encode())])
    for form in (
        WILD[::-1], WILD.encode().hex(), "cnry%2F9f%2BZk%3D47~q%25w%26%227d",
        "cnry/9f+Zk=47~q%w&amp;&#34;7d", 'cnry/9f+Zk=47~q%w\\u0026\\"7d',
    ):  # fmt: skip
        assert leaks([("page", f"key={form}.".encode())]), form
    assert leaks([("page", b"an answer without it")]) == []
