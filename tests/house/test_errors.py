"""Errors are one family tree: each has a code of its own and an answer at the web's doors."""

from importlib import import_module
from pkgutil import walk_packages

import pytest

from app.core.errors import AssentryError
from app.web.problems import FAMILIES, status_of

PACKAGES = ("app", "integrations", "workers")


def below(family: type[AssentryError]) -> list[type[AssentryError]]:
    """Return every class below one."""
    return [one for child in family.__subclasses__() for one in (child, *below(child))]


def every() -> list[type[AssentryError]]:
    """Return the product's errors, after loading every module that may define one."""
    for package in PACKAGES:
        for module in walk_packages(import_module(package).__path__, f"{package}."):
            import_module(module.name)
    return [one for one in below(AssentryError) if one.__module__.split(".")[0] in PACKAGES]


ERRORS = every()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_has_a_status_and_words_of_its_own(error: type[AssentryError]) -> None:
    assert 400 <= status_of(error()) < 600
    assert status_of(error()) != 500, "it belongs to no family of app/web/problems.py"
    assert "code" in error.__dict__
    assert error().detail.endswith((".", "!")), "the docstring is the message"


def test_codes_are_distinct() -> None:
    codes = [error.code for error in ERRORS]
    assert len(codes) == len(set(codes))


def test_no_row_of_the_table_hides_another() -> None:
    families = [family for family, _, _ in FAMILIES]
    hidden = [
        later.__name__
        for place, later in enumerate(families)
        if any(issubclass(later, earlier) for earlier in families[:place])
    ]
    assert hidden == []
