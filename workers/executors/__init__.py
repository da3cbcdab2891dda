"""The adapters that carry out granted actions; may import core and one protocol library each.

``EXECUTORS`` names them without importing their libraries: ``load()`` does that.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.executors.http import HttpExecutor


@dataclass(frozen=True, slots=True)
class Registered:
    """An executor's kind, and how its class is imported when it is needed.

    :ivar kind: the kind of action it carries out.
    :ivar load: imports and returns the class.
    """

    kind: str
    load: "Callable[[], type[HttpExecutor]]"


def _http() -> "type[HttpExecutor]":
    from workers.executors.http import HttpExecutor  # noqa: PLC0415 - aiohttp only when needed

    return HttpExecutor


EXECUTORS: Final = (Registered("http", _http),)
"""Every executor; one line each."""
