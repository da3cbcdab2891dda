"""What no linter knows: rules of the design, read from the syntax trees."""

import ast
import re
from pathlib import Path

from tests.house import exemptions
from tests.support.sources import PRODUCT, docstrings, files, found, name, tree

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
        and (called == "replace" or (called == "Request" and names_status(keyword.value)))
        for keyword in node.keywords
    )


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


def test_the_rules_see_what_they_forbid() -> None:
    def one(source: str) -> ast.AST:
        statement = ast.parse(source).body[0]
        return statement.value if isinstance(statement, ast.Expr) else statement

    assert sets_status(one("request.status = Status.DENIED"))
    assert sets_status(one("replace(request, status=anything)"))
    assert sets_status(one("Request(status=Status.APPROVED)"))
    assert not sets_status(one("Request(status=Status(row.status))"))
    assert not sets_status(one("page(request, status=200)"))
    assert SQL.match("SELECT id FROM request")
    assert SQL.match(" update request set x = 1")
    assert not SQL.match("Select the request")
    assert not SQL.match("Update the policy")
