"""Who may import whom: the contracts of pyproject.toml, as the linter sees them."""

import ast

import pytest
from importlinter import cli

from tests.support.sources import ROOT, files, found, tree


def test_import_contracts_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    code = cli.lint_imports(config_filename="pyproject.toml", no_cache=True, no_logo=True)
    assert code == 0, capsys.readouterr().out


def test_imports_are_absolute() -> None:
    relative = [
        found(path, node, "relative import")
        for path in files("app", "integrations", "workers", "sdk", "tests", "benchmarks")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []
