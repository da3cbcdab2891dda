"""The manifest of promises and the tests are in step, both ways."""

import ast

from tests.requirements import PLANNED, PROMISES
from tests.support.sources import files, found, tree


def uses() -> dict[str, str]:
    """Return every id that a test carries, with one place."""
    return {
        argument.value: found(path, node, argument.value)
        for path in files("tests")
        if path.stem.startswith("test_")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.requirement")
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def test_ids_are_written_out() -> None:
    computed = [
        found(path, node, "the ids of a requirement are string literals")
        for path in files("tests")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.requirement")
        if not node.args
        or any(
            not isinstance(argument, ast.Constant) or not isinstance(argument.value, str)
            for argument in node.args
        )
    ]
    assert computed == []


def test_every_id_of_a_test_is_in_the_manifest() -> None:
    unknown = {place for id_, place in uses().items() if id_ not in PROMISES | PLANNED}
    assert unknown == set(), "add the sentence to PROMISES in tests/requirements.py"


def test_every_promise_has_a_test() -> None:
    assert set(PROMISES) - set(uses()) == set(), "promised without a test"


def test_what_is_planned_has_no_test_yet() -> None:
    assert set(PLANNED) & set(uses()) == set(), "move these from PLANNED to PROMISES"
    assert set(PLANNED) & set(PROMISES) == set()


def test_promises_are_sentences_with_a_source() -> None:
    for id_, promise in (PROMISES | PLANNED).items():
        assert promise.sentence.endswith("."), id_
        assert promise.source, id_
