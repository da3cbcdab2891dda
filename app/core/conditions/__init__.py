"""The kinds of conditions, one file per family.

To add one: write the file with its ``KINDS``, and add the line here. The contract suite
(``tests/contracts/test_conditions.py``) then checks it. May import ``app.core`` only.
"""

from collections.abc import Mapping
from typing import Final

from app.core.conditions import (
    command,
    equality,
    expression,
    glob,
    http,
    network,
    numbers,
    presence,
    schedule,
    strings,
)
from app.core.conditions.base import Kind

CONDITIONS: Final[tuple[Kind, ...]] = (
    *equality.KINDS,
    *numbers.KINDS,
    *glob.KINDS,
    *strings.KINDS,
    *presence.KINDS,
    *network.KINDS,
    *http.KINDS,
    *command.KINDS,
    *schedule.KINDS,
    *expression.KINDS,
)
"""Every kind of condition, in the order of the documentation."""

OPERATORS: Final[Mapping[str, Kind]] = {
    kind.name: kind for kind in CONDITIONS if kind.form == "operator"
}
BLOCKS: Final[Mapping[str, Kind]] = {kind.name: kind for kind in CONDITIONS if kind.form == "block"}
