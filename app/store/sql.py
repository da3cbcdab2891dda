"""Statements of the hot paths: built once with SQLAlchemy Core, run on the driver itself."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Compiled, Dialect
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.util import find_tables
from sqlmodel import SQLModel

_DIALECTS: Final[Mapping[str, Dialect]] = {
    "sqlite": sqlite.dialect(paramstyle="named"),
    "postgresql": postgresql.dialect(paramstyle="pyformat"),
}

T = TypeVar("T")

_FROM: Final = re.compile(r"\bFROM \w+")
_VALUES: Final = re.compile(r" VALUES \(([^()]*)\)")
_GROUPED: Final = (64, 32, 16, 8, 4, 2)
"""Rows of one insert into SQLite; a driver keeps the prepared statements of so few texts."""


class Sql:
    """One statement with named parameters, as text for each engine.

    :ivar tables: names of the tables that it reads or writes.
    :ivar flat: of what is inserted, the values in the order of the columns; None where that is a
        mapping by their names.
    """

    def __init__(
        self,
        statement: ClauseElement,
        *,
        suffix: Mapping[str, str] | None = None,
        index: str = "",
        flat: Callable[[Any], Sequence[object]] | None = None,
    ) -> None:
        """Compile the statement for both engines.

        :param suffix: text to add for one of them.
        :param index: the one that SQLite has to take for the table that the statement begins with.
        :param flat: see the class.
        """
        self.flat = flat
        extra = suffix or {}
        self.writes = not getattr(statement, "is_select", False)
        self.defaults = _constants(statement)
        found = find_tables(
            statement, include_joins=True, include_aliases=True, include_selects=True,
            include_crud=True,
        )  # fmt: skip
        self.tables = frozenset(table.name for table in found if isinstance(table, Table))
        self.sqlite = _text(statement, "sqlite") + extra.get("sqlite", "")
        if index:
            self.sqlite = _FROM.sub(rf"\g<0> INDEXED BY {index}", self.sqlite, count=1)
        self.postgresql = _text(statement, "postgresql") + extra.get("postgresql", "")

    def params(self, given: Mapping[str, object]) -> Mapping[str, object]:
        """Return the parameters with the statement's own constants."""
        return {**self.defaults, **given} if self.defaults else given

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The parameters of an insert, in the order of its values."""
        names = _VALUES.split(self.sqlite)[1]
        return tuple(name.strip().removeprefix(":") for name in names.split(","))

    @cached_property
    def several(self) -> Mapping[int, str]:
        """Texts for SQLite that insert so many rows at once, with unnamed parameters."""
        begin, names, end = _VALUES.split(self.sqlite)
        row = f"({', '.join('?' * len(names.split(',')))})"
        return {size: f"{begin} VALUES {', '.join([row] * size)}{end}" for size in _GROUPED}

    def values(self, rows: Sequence[Any]) -> list[object]:
        """Return the parameters of one of these texts."""
        if self.flat is not None:
            return list(chain.from_iterable(map(self.flat, rows)))
        names = self.names
        return [row[name] for row in rows for name in names]

    def named(self, row: Any) -> Mapping[str, object]:
        """Return the parameters of one row by name."""
        return row if self.flat is None else dict(zip(self.names, self.flat(row), strict=True))

    def text(self, engine: str) -> str:
        """Return the text for ``sqlite`` or ``postgresql``."""
        return self.sqlite if engine == "sqlite" else self.postgresql


def first(make: Callable[[Any], T]) -> Callable[[list[Any]], T | None]:
    """Return what makes something of the first row, or None where there is no row."""
    return lambda rows: make(rows[0]) if rows else None


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
