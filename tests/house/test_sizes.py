"""Rooms of a size that one can take in: files and functions."""

import ast

from tests.house import exemptions
from tests.support.sources import PRODUCT, files, functions, name

MOST_LINES = 400
MOST_TEST_LINES = 600
MOST_BODY_LINES = 50


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function's body, its docstring left out."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    body = function.body[1:] if documented else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_files_are_short() -> None:
    lines = {name(path): len(path.read_text("utf-8").splitlines()) for path in files(*PRODUCT)}
    long = {path: count for path, count in lines.items() if count > MOST_LINES}
    assert {path: count for path, count in long.items() if path not in exemptions.LONG_FILES} == {}
    assert set(exemptions.LONG_FILES) - set(long) == set(), "no longer needed: take them out"


def test_test_files_are_short() -> None:
    lines = {name(path): len(path.read_text("utf-8").splitlines()) for path in files("tests")}
    assert {path: count for path, count in lines.items() if count > MOST_TEST_LINES} == {}


def test_functions_are_short() -> None:
    lengths = {
        f"{name(path)}:{function.name}": body_lines(function)
        for path in files(*PRODUCT)
        for function in functions(path)
    }
    long = {place: count for place, count in lengths.items() if count > MOST_BODY_LINES}
    allowed = exemptions.LONG_FUNCTIONS
    assert {place: count for place, count in long.items() if place not in allowed} == {}
    assert set(allowed) - set(long) == set(), "no longer needed: take them out"
