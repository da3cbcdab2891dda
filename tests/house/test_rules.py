"""What no linter knows: rules of the design, read from the syntax trees."""

import ast
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from app.services.webhooks import Wanted
from app.web.api.operations import OPERATIONS
from tests.house import exemptions
from tests.support.canary import CANARY
from tests.support.sources import PRODUCT, docstrings, files, found, name, tree
from tests.web.conftest import Door, open_door

SQL = re.compile(
    r"^\s*(SELECT\s.+\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM"
    r"|CREATE\s+(TABLE|INDEX|UNIQUE|TRIGGER)|ALTER\s+TABLE|PRAGMA)\s",
    re.IGNORECASE | re.DOTALL,
)
STORE = "app/store/"
LIFECYCLE = "app/core/lifecycle.py"


def product(*outside: str) -> list[Path]:
    """Return the files of the product, those below some paths left out."""
    return [path for path in files(*PRODUCT) if not name(path).startswith(outside or ("-",))]


def names_status(value: ast.expr) -> bool:
    """Return whether an expression names a member of the enumeration Status."""
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Status"
        for node in ast.walk(value)
    )


def sets_status(node: ast.AST) -> bool:
    """Return whether a node gives a request its status."""
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(isinstance(at, ast.Attribute) and at.attr == "status" for at in targets)
    if not isinstance(node, ast.Call):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
    return any(
        keyword.arg == "status"
        and (called == "replace" or (called in MAKERS and names_status(keyword.value)))
        for keyword in node.keywords
    )


MAKERS = {"Request", "draft"}
"""Whatever makes a request."""


def test_only_the_lifecycle_sets_a_status() -> None:
    writers = {
        name(path): found(path, node, "sets a status; return a step of lifecycle.py instead")
        for path in product(LIFECYCLE)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.stmt | ast.expr) and sets_status(node)
    }
    allowed = exemptions.STATUS_WRITERS
    assert [finding for path, finding in writers.items() if path not in allowed] == []
    assert set(allowed) - set(writers) == set(), "no longer needed: take them out"


def test_only_the_store_commits() -> None:
    commits = [
        found(path, node, "commits; a service uses Store.write")
        for path in product(STORE)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"commit", "rollback"}
    ]
    assert commits == []


def test_only_the_store_speaks_sql() -> None:
    statements = [
        found(path, node, "SQL; it belongs into app/store")
        for path in product(STORE)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and SQL.match(node.value)
        and node not in docstrings(path)
    ]
    assert statements == []


def loose_tasks(whole: ast.Module) -> list[ast.Call]:
    """Return the calls that start a task which no TaskGroup of the file holds."""
    groups = {
        ast.unparse(item.optional_vars)
        for node in ast.walk(whole)
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if item.optional_vars and ast.unparse(item.context_expr) == "asyncio.TaskGroup()"
    }
    return [
        node
        for node in ast.walk(whole)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"create_task", "ensure_future"}
        and ast.unparse(node.func.value) not in groups
    ]


def test_every_task_is_held() -> None:
    loose = {
        name(path): found(path, node, "starts a task; use asyncio.TaskGroup")
        for path in product()
        for node in loose_tasks(tree(path))
    }
    allowed = exemptions.LOOSE_TASKS
    assert [finding for path, finding in loose.items() if path not in allowed] == []
    assert set(allowed) - set(loose) == set(), "no longer needed: take them out"


NOT_THERE = {
    "requests_result", "requests_call_result", "queue_status", "queue_status_account",
}  # fmt: skip
"""Operations that find nothing of a plain action."""


async def test_reading_changes_nothing(tmp_path: Path) -> None:
    """Every GET of the API leaves the database as it was, row for row."""

    def rows() -> list[str]:
        with closing(sqlite3.connect(tmp_path / "test.db")) as database:
            return list(database.iterdump())

    async with open_door(f"sqlite:///{tmp_path / 'test.db'}", tmp_path) as door:
        person, ids = await door.client("admin"), await things(door)
        agent = await door.client("agent")
        before = rows()
        for operation in OPERATIONS:
            if operation.method != "GET" or operation.media_type == "text/event-stream":
                continue
            agents = ("discovery_", "credentials_search")
            client = agent if operation.name.startswith(agents) else person
            answer = await client.get(operation.path.format_map(ids))
            good = 404 if operation.name in NOT_THERE else 200
            assert answer.status_code == good, (operation.name, answer.text)
            assert rows() == before, operation.name


async def things(door: Door) -> dict[str, str]:
    """Return an id for every placeholder of a path, each of something that is there."""
    anne, services = door.world.anne, door.world.services
    policy = await services.policies.create(
        anne, {"name": "p", "rules": [{"name": "r", "effect": "review"}]}
    )
    credential = await services.vault.create(
        anne, name="c", kind="bearer", fields={"token": CANARY}
    )
    target = await services.targets.create(
        anne, name="t", base_url="https://api.example.org", credential_id=credential.id
    )
    hook, _ = await services.webhooks.create(anne, Wanted(name="w", url="https://x.example/"))
    request = await door.pending()
    await services.announcements.announce(request.id)
    (delivery,) = await services.webhooks.deliveries(anne, hook.id, None, None, 1)
    return {
        "webhook_id": hook.id,
        "delivery_id": delivery.id,
        "request_id": request.id,
        "policy_id": policy.id,
        "version": "1",
        "number": "1",
        "target": "t",
        "service": "t",
        "account": "default",
        "target_id": target.id,
        "credential_id": credential.id,
        "agent_id": door.world.agent.id,
        "key_id": door.world.key.id,
        "person_id": door.people["viewer"].id,
    }


def test_the_rules_see_what_they_forbid() -> None:
    def one(source: str) -> ast.AST:
        statement = ast.parse(source).body[0]
        return statement.value if isinstance(statement, ast.Expr) else statement

    assert sets_status(one("request.status = Status.DENIED"))
    assert sets_status(one("replace(request, status=anything)"))
    assert sets_status(one("Request(status=Status.APPROVED)"))
    assert not sets_status(one("Request(status=Status(row.status))"))
    assert not sets_status(one("page(request, status=200)"))
    assert loose_tasks(ast.parse("loop.create_task(x())"))
    assert not loose_tasks(
        ast.parse("async def f():\n async with asyncio.TaskGroup() as g:\n  g.create_task(x())")
    )
    assert SQL.match("SELECT id FROM request")
    assert SQL.match(" update request set x = 1")
    assert not SQL.match("Select the request")
    assert not SQL.match("Update the policy")
