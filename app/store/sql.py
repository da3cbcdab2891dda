"""Statements of the hot paths: built once with SQLAlchemy Core, run on the driver itself."""

import re
from collections.abc import Mapping
from typing import Final, cast

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Compiled, Dialect
from sqlalchemy.sql.elements import ClauseElement
from sqlmodel import SQLModel

_DIALECTS: Final[Mapping[str, Dialect]] = {
    "sqlite": sqlite.dialect(paramstyle="named"),
    "postgresql": postgresql.dialect(paramstyle="pyformat"),
}


_FROM: Final = re.compile(r"\bFROM \w+")


class Sql:
    """One statement with named parameters, as text for each engine."""

    __slots__ = ("defaults", "postgresql", "sqlite", "writes")

    def __init__(
        self,
        statement: ClauseElement,
        *,
        suffix: Mapping[str, str] | None = None,
        index: str = "",
    ) -> None:
        """Compile the statement for both engines.

        :param suffix: text to add for one of them.
        :param index: the one that SQLite has to take for the table that the statement begins with.
        """
        extra = suffix or {}
        self.writes = not getattr(statement, "is_select", False)
        self.defaults = _constants(statement)
        self.sqlite = _text(statement, "sqlite") + extra.get("sqlite", "")
        if index:
            self.sqlite = _FROM.sub(rf"\g<0> INDEXED BY {index}", self.sqlite, count=1)
        self.postgresql = _text(statement, "postgresql") + extra.get("postgresql", "")

    def params(self, given: Mapping[str, object]) -> Mapping[str, object]:
        """Return the parameters with the statement's own constants."""
        return {**self.defaults, **given} if self.defaults else given

    def text(self, engine: str) -> str:
        """Return the text for ``sqlite`` or ``postgresql``."""
        return self.sqlite if engine == "sqlite" else self.postgresql


def table_of(model: type[SQLModel]) -> Table:
    """Return the Core table of a row class."""
    return cast("Table", model.__table__)  # pyright: ignore[reportAttributeAccessIssue]


def _compiled(statement: ClauseElement, engine: str) -> Compiled:
    return statement.compile(dialect=_DIALECTS[engine], compile_kwargs={"render_postcompile": True})


def _text(statement: ClauseElement, engine: str) -> str:
    return str(_compiled(statement, engine))


def _constants(statement: ClauseElement) -> dict[str, object]:
    params = _compiled(statement, "sqlite").params or {}
    return {name: value for name, value in params.items() if value is not None}
