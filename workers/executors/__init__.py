"""The adapters that carry out granted actions; may import core and one protocol library each.

``EXECUTORS`` names them without importing their libraries: ``load()`` does that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from app.core.outcome import HttpPlan
from app.core.ports import Executor
from app.core.ssh_plan import SshPlan


@dataclass(frozen=True, slots=True)
class Registered:
    """An executor's kind, and how one is made when it is needed.

    :ivar kind: the kind of action it carries out.
    :ivar load: imports its library and returns an executor.
    """

    kind: str
    load: Callable[[], Executor[Any]]


def _http() -> Executor[HttpPlan]:
    from workers.executors.http import HttpExecutor  # noqa: PLC0415 - its parser only when needed
    from workers.executors.http_client import HttpClient  # noqa: PLC0415 - likewise

    return HttpExecutor(HttpClient())


def _ssh() -> Executor[SshPlan]:
    from workers.executors.ssh.executor import SshExecutor  # noqa: PLC0415 - asyncssh when needed

    return SshExecutor()


EXECUTORS: Final = (Registered("http", _http), Registered("ssh", _ssh))
"""Every executor; one line each."""
