"""The project's own files, and their syntax trees, for the house rules."""

import ast
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("app", "integrations", "workers", "sdk")
"""Folders of the product's code."""


def files(*folders: str) -> list[Path]:
    """Return the Python files below folders, in order."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name(path: Path) -> str:
    """Return a file's path inside the project."""
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text("utf-8"), str(path))


def found(path: Path, node: ast.stmt | ast.expr, what: str) -> str:
    """Return a finding as editors and terminals understand it."""
    return f"{name(path)}:{node.lineno}: {what}"


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a file, nested ones too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def docstrings(path: Path) -> set[ast.expr]:
    """Return the nodes of a file that are docstrings, also those after a name."""
    return {node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Expr)}


def tracked() -> list[Path]:
    """Return the files that are, or would be, in the repository."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return [path for folder in (*PRODUCT, "tests", "docs") for path in _all(ROOT / folder)]
    listed = subprocess.run(
        [git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [path for line in listed.split("\0") if line and (path := ROOT / line).is_file()]


def text(path: Path) -> str | None:
    """Return a file's text, or None when it is not text."""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return None


def _all(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in str(path)]
