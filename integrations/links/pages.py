"""The pages of one-click links: a GET shows the card and changes nothing, a POST votes (T10)."""

from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from app.core.errors import AssentryError, AssuranceTooLow, LinkUsed, NotFound
from app.core.ports import LinkDesk, LinkSigner
from app.core.request import Choice
from integrations.marks import marked

MOST: Final = 16_384
"""Most bytes of a posted form."""

_HEADERS: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
}
_STATUSES: Final[tuple[tuple[type[AssentryError], int], ...]] = (
    (NotFound, 404), (LinkUsed, 410), (AssuranceTooLow, 403),
)  # fmt: skip
_TITLES: Final = {404: "There is no such link", 410: "This link is used or over"}
_CHOICES: Final = {"approve": Choice.APPROVE, "deny": Choice.DENY}
_FORM: Final = "application/x-www-form-urlencoded"


class LinkPages:
    """The routes behind ``/l/``."""

    def __init__(self, desk: LinkDesk, signer: LinkSigner) -> None:
        """Keep who knows the links, and who reads their tokens."""
        self._desk = desk
        self._signer = signer
        pages = Environment(
            loader=PackageLoader("integrations.links"), undefined=StrictUndefined,
            autoescape=True, trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        filters: dict[str, Any] = {"marked": marked}
        pages.filters.update(filters)
        self._page = pages.get_template("link.html")

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/l/{token}", self._show, methods=["GET"]),
            Route("/l/{token}", self._decide, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        try:
            view = await self._desk.view(self._read(request))
        except AssentryError as error:
            return self._refused(error)
        return self._render(200, title=view.card.headline, card=view.card, view=view)

    async def _decide(self, request: Request) -> Response:
        link_id = ""
        try:
            link_id = self._read(request)
            form = await _form(request)
            choice = _CHOICES.get(form.get("decision", ""))
            if choice is None or not _same_site(request):
                message = "Open the link again and press a button there."
                raise LinkUsed(message)
            comment = form.get("comment", "").replace("\r\n", "\n")
            said = await self._desk.cast(link_id, form.get("form", ""), choice, comment)
        except AssentryError as error:
            await self._desk.turned_away(link_id, error)
            return self._refused(error, "Your press was not counted. ")
        return self._render(200, title="Thank you", message=said.text, card=said.card)

    def _read(self, request: Request) -> str:
        try:
            return self._signer.read(request.path_params["token"])
        except ValueError as error:
            message = "The address is not complete, or not one of ours."
            raise NotFound(message) from error

    def _refused(self, error: AssentryError, pressed: str = "") -> Response:
        status = next((code for kind, code in _STATUSES if isinstance(error, kind)), 409)
        title = _TITLES.get(status, "This was not counted")
        advice = "" if status == 404 else " Sign in to see the request."  # noqa: PLR2004
        return self._render(status, title=title, message=f"{pressed}{error.detail}{advice}")

    def _render(self, status: int, **given: Any) -> Response:
        values = {"message": "", "card": None, "view": None, **given}
        return HTMLResponse(self._page.render(values), status_code=status, headers=_HEADERS)


def _same_site(request: Request) -> bool:
    """Whether the form came from our own page (T13)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin in (None, "null") or urlsplit(origin).netloc == request.headers.get("host")


async def _form(request: Request) -> dict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST:
            break
    message = "The form could not be read; open the link again."
    if kind != _FORM or len(data) > MOST:
        raise LinkUsed(message)
    try:
        form = dict(parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=10))
    except ValueError as error:
        raise LinkUsed(message) from error
    if any("\x00" in text for text in form.values()):
        raise LinkUsed(message)
    return form
