"""Whether the process is alive, and whether it can do its work."""

from starlette.requests import Request
from starlette.responses import Response

from app.core.errors import StoreUnavailable
from app.web.api.replies import reply
from app.web.deps import services_of
from app.web.filters import bare
from app.web.models import HealthOut


async def health(request: Request) -> Response:
    bare(request)
    return reply(HealthOut(status="alive"))


async def ready(request: Request) -> Response:
    bare(request)
    try:
        await services_of(request).store.read(lambda tx: tx.policies.revision())
    except Exception as error:
        raise StoreUnavailable(retry_after=1) from error
    return reply(HealthOut(status="ready"))
