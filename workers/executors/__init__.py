"""The adapters that carry out granted actions; may import core and one protocol library each.

``EXECUTORS`` names them without importing their libraries: ``load()`` does that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.core.ports import Executor


@dataclass(frozen=True, slots=True)
class Registered:
    """An executor's kind, and how one is made when it is needed.

    :ivar kind: the kind of action it carries out.
    :ivar load: imports its library and returns an executor.
    """

    kind: str
    load: Callable[[], Executor]


def _http() -> Executor:
    from workers.executors.http import HttpExecutor  # noqa: PLC0415 - aiohttp only when needed
    from workers.executors.http_client import HttpClient  # noqa: PLC0415 - likewise

    return HttpExecutor(HttpClient())


EXECUTORS: Final = (Registered("http", _http),)
"""Every executor; one line each."""
