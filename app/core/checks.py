"""Checks of several fields, told together: one who mends a form should not mend it thrice."""

from collections.abc import Callable
from typing import cast

from app.core.errors import AssentryError, Invalid


def all_of(*checks: Callable[[], object]) -> None:
    """Run checks of an input; none of them may rest on another.

    :raises Invalid: the first that was refused; where there are several, ``errors`` of its
        further members lists them all, each with its pointer, detail and code.
    """
    wrong: list[Invalid] = []
    for check in checks:
        try:
            check()
        except Invalid as error:
            wrong.append(error)
    if not wrong:
        return
    first, found = wrong[0], [one for error in wrong for one in each_of(error)]
    if len(found) > 1:
        first.extra = {**first.extra, "errors": found}
    raise first


def each_of(error: AssentryError) -> list[dict[str, str]]:
    """Return what an error says of each field."""
    told = error.extra.get("errors")
    if isinstance(told, list):
        return cast("list[dict[str, str]]", told)
    return [{"pointer": error.pointer, "detail": error.detail, "code": error.code}]
