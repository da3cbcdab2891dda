"""Requests as rows: their columns, and the ways from one to the other."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

from app.core.action import Kind, Urgency
from app.core.policy import Effect
from app.core.request import Request, Status, assembled
from app.store.sql import table_of
from app.store.tables import RequestRow

T = table_of(RequestRow)
COLUMNS: Final = [column.name for column in T.columns]
MUTABLE: Final = COLUMNS[COLUMNS.index("status") :]
"""Those that a transition writes."""

_UNVERSIONED: Final = frozenset({"sent_at", "lease_until"})
flat: Final = attrgetter(*COLUMNS)
"""Returns the columns of a request in their order."""

_CHANGED: Final = attrgetter(*MUTABLE)
_ENUMS: Final = [
    (place, {item.value: item for item in kind})
    for place, kind in ((4, Kind), (8, Urgency), (12, Effect), (21, Status))
]


def changes_to_row(before: Request, after: Request) -> dict[str, object]:
    """Return the columns that a transition writes, by name: what it changes, and the unversioned.

    What another statement may have changed without a new version (which happens while it is carried
    out) is written in any case.
    """
    pairs = zip(MUTABLE, _CHANGED(before), _CHANGED(after), strict=True)
    anyway = _UNVERSIONED if before.status is Status.EXECUTING else ()
    return {name: new for name, old, new in pairs if new != old or name in anyway}


def from_row(row: Sequence[Any]) -> Request:
    """Return the request that a row in column order holds."""
    values = list(row)
    for place, members in _ENUMS:
        values[place] = members[values[place]]
    values[10] = values[10].encode() if isinstance(values[10], str) else bytes(values[10])
    values[15] = None if values[15] is None else bool(values[15])
    values[17] = bool(values[17])
    return assembled(values)
