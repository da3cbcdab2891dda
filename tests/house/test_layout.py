"""A thing is found by its name: packages say what they are for, tests mirror the source."""

import ast

import pytest

from tests.house import exemptions
from tests.support.sources import ROOT, files, name, tree

FLOORS = {
    "core": "app/core",
    "services": "app/services",
    "store": "app/store",
    "web": "app/web",
    "cli": "app/cli",
    "integrations": "integrations",
    "workers": "workers",
    "sdk": "sdk/assentry",
}
"""Folders of tests, each with the floor that it mirrors."""


def mirrored(floor: str, stem: str) -> bool:
    """Return whether a source file or package below the floor has the name."""
    return any(stem in (path.stem.strip("_"), path.parent.name) for path in files(FLOORS[floor]))


@pytest.mark.parametrize("floor", FLOORS)
def test_tests_mirror_the_source(floor: str) -> None:
    strangers = {
        name(path)
        for path in files(f"tests/{floor}")
        if path.stem.startswith("test_") and not mirrored(floor, path.stem.removeprefix("test_"))
    }
    allowed = {path for path in exemptions.UNMIRRORED if path.startswith(f"tests/{floor}/")}
    assert strangers - allowed == set(), (
        "name the test file after its source file, or enter it in exemptions.UNMIRRORED"
    )
    assert allowed - strangers == set(), "no longer needed: take them out of UNMIRRORED"


def test_packages_say_what_they_are_for() -> None:
    silent = [
        name(path)
        for path in files("app", "integrations", "workers", "sdk")
        if path.name == "__init__.py" and not ast.get_docstring(tree(path))
    ]
    assert silent == []


def test_every_folder_of_code_is_a_package() -> None:
    folders = {path.parent for path in files("app", "integrations", "workers")}
    assert [str(at.relative_to(ROOT)) for at in folders if not (at / "__init__.py").exists()] == []
