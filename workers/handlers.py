"""Which service method handles which kind of job; nothing else."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from app.core.jobs import JobKind
from app.services.announcements import Announcements
from app.services.bundles import Bundles
from app.services.execution import Execution
from app.services.notices import Notices


class Handling(Protocol):
    """The services that jobs come to."""

    @property
    def execution(self) -> Execution: ...  # noqa: D102
    @property
    def bundles(self) -> Bundles: ...  # noqa: D102
    @property
    def notices(self) -> Notices: ...  # noqa: D102
    @property
    def announcements(self) -> Announcements: ...  # noqa: D102


Handler = Callable[[Handling, str], Awaitable[None]]

HANDLERS: Final[Mapping[JobKind, Handler]] = {
    JobKind.EXECUTE: lambda services, request_id: services.execution.run(request_id),
    JobKind.BUNDLE: lambda services, request_id: services.bundles.run(request_id),
    JobKind.NOTIFY: lambda services, request_id: services.notices.notify(request_id),
    JobKind.REFRESH: lambda services, request_id: services.notices.refresh(request_id),
    JobKind.ANNOUNCE: lambda services, request_id: services.announcements.announce(request_id),
    JobKind.ALARM: lambda services, request_id: services.notices.alarm(request_id),
}
"""Every job kind and its handler."""
