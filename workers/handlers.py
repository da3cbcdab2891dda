"""Which service method carries out which kind of job; nothing else."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from app.core.jobs import JobKind
from app.services.execution import Execution

Handler = Callable[[Execution, str], Awaitable[None]]

HANDLERS: Final[Mapping[JobKind, Handler]] = {
    JobKind.EXECUTE: lambda execution, request_id: execution.run(request_id),
}
"""Job kinds that are handled; the store writes no others."""
