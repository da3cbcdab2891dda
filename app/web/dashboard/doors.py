"""What every page needs: who is signed in, the form's fields, and errors as pages."""

from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.core.errors import (
    AssentryError,
    Invalid,
    InvalidField,
    Unauthenticated,
    UnsupportedMediaType,
)
from app.core.instant import Instant, plus
from app.core.principals import Caller
from app.services.once import SECONDS
from app.web.bodies import raw
from app.web.dashboard.rendering import page
from app.web.deps import check_form_token, check_origin, cookie_name, services_of, session_of
from app.web.problems import on_http_error, routing, status_of, wants_page

MAX_FORM: Final = 300_000
"""Most bytes of a form."""

MAX_DAYS: Final = 3650
"""Most days after which a key ends."""

_ONCE: Final = "assentry_once"
"""Name of the cookie that carries, sealed, what the next page shows once."""

Page = Callable[[Request], Awaitable[Response]]
SignedIn = Callable[[Request, Caller], Awaitable[Response]]


_DIGITS: Final = 15
"""Most digits of a number in a form: what every program that reads JSON takes as a whole one."""


class Form(dict[str, str]):
    """The fields of a posted form; a field that was not sent is empty."""

    def __missing__(self, name: str) -> str:
        """Return the empty text."""
        return ""

    def ticked(self, name: str) -> bool:
        """Whether a check box is ticked."""
        return self[name] == "on"

    def number(self, name: str, default: int) -> int:
        """Return a whole number; what it may be at most is for who uses it.

        :raises Invalid: the field holds something else.
        """
        text = self[name].strip()
        if not text:
            return default
        if not text.isascii() or not text.isdecimal() or len(text) > _DIGITS:
            message = "write a whole number, 0 or more"
            raise Invalid(message, pointer=f"/{name}")
        return int(text)

    def seconds(self, name: str, default: float) -> float:
        """Return a number of seconds, such as ``30`` or ``0.5``.

        :raises Invalid: the field holds something else.
        """
        text = self[name].strip()
        if not text:
            return default
        digits = text.replace(".", "", 1)
        if not digits.isascii() or not digits.isdecimal() or len(text) > _DIGITS:
            message = "write a number of seconds, such as 30 or 0.5"
            raise Invalid(message, pointer=f"/{name}")
        return float(text)

    def lines(self, name: str) -> list[str]:
        """Return the words of a field, separated by white space or commas."""
        return self[name].replace(",", " ").split()


def end_of(form: Form, now: Instant) -> Instant | None:
    """Return when a key ends that a form makes after some days; None for never.

    :raises InvalidField: the days are something else.
    """
    if not form["days"].strip():
        return None
    days = form.number("days", 0)
    if not 1 <= days <= MAX_DAYS:
        message = f"a key ends after 1 to {MAX_DAYS} days; empty means never"
        raise InvalidField(message, pointer="/days")
    return plus(now, days * 86_400)


async def form_of(request: Request) -> Form:
    """Return the fields of a form.

    :raises UnsupportedMediaType: it is no form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        message = "send the page's form"
        raise UnsupportedMediaType(message)
    try:
        text = (await raw(request, MAX_FORM)).decode()
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=100)
    except ValueError as error:
        message = "the form cannot be read"
        raise Invalid(message) from error
    if odd := next((name for name, value in pairs if "\x00" in name + value), None):
        message = "a field holds no NUL"
        raise Invalid(message, pointer=f"/{odd}" if odd.isprintable() else "")
    return Form({name: value.replace("\r\n", "\n") for name, value in pairs})


def signed_in(handler: SignedIn) -> Page:
    """Let signed-in people in; send others to the sign-in page and back.

    A posted form must come from our own page and hold the session's token (T13).
    """

    @wraps(handler)
    async def door(request: Request) -> Response:
        try:
            caller = await session_of(request)
        except Unauthenticated:
            return await _to_sign_in(request)
        try:
            if request.method == "POST":
                check_origin(request)
                form = await form_of(request)
                check_form_token(caller, form["form_token"])
                request.state.form = form
            return await handler(request, caller)
        except AssentryError as error:
            return failure(request, error, caller)

    return door


def opened(handler: Page) -> Page:
    """Let everybody in, with errors as pages."""

    @wraps(handler)
    async def door(request: Request) -> Response:
        try:
            return await handler(request)
        except AssentryError as error:
            return failure(request, error, None)

    return door


async def _to_sign_in(request: Request) -> Response:
    if await services_of(request).people.setup_open():
        return RedirectResponse("/setup", 303)
    if request.method == "GET":
        return RedirectResponse(f"/sign-in?next={quote(request.scope['path'])}", 303)
    return RedirectResponse(f"/sign-in?lost=yes&next={quote(_came_from(request))}", 303)


def _came_from(request: Request) -> str:
    """Return the page of ours that a form was sent from, or the inbox."""
    try:
        parts = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return "/"
    return local(parts.path) if parts.netloc == request.headers.get("host") else "/"


def failure(request: Request, error: AssentryError, caller: Caller | None) -> Response:
    """Return the page for an error."""
    return _refused(request, caller, status_of(error), error)


async def lost(request: Request, error: Exception) -> Response:
    """Answer what no address takes: browsers with a page, programs with a problem."""
    assert isinstance(error, HTTPException)
    if not wants_page(request.scope):
        return await on_http_error(request, error)
    code, detail = routing(error)
    try:
        caller = await session_of(request)
    except AssentryError:
        caller = None
    said = {"code": code, "detail": detail, "pointer": ""}
    return _refused(request, caller, error.status_code, said)


def _refused(request: Request, caller: Caller | None, status: int, error: object) -> Response:
    missing = status == HTTPStatus.NOT_FOUND
    return page(request, "error.html", caller=caller, status=status, error=error, missing=missing)


def to(address: str) -> Response:
    """Go on to another page after a form was taken."""
    return RedirectResponse(address, 303)


def with_secret(request: Request, caller: Caller, address: str, secret: str) -> Response:
    """Go on to the page that shows a secret, once: loading that page again sends no form."""
    services, answer = services_of(request), to(address)
    if caller.session is not None:
        answer.set_cookie(
            _ONCE, services.once.seal(caller.session, address, secret), max_age=SECONDS,
            path=address, secure=services.settings.secure_cookies, httponly=True, samesite="strict",
        )  # fmt: skip
    return answer


def carried(request: Request, caller: Caller) -> str:
    """Return the secret that a form left for this page to show, or an empty text."""
    sealed = request.cookies.get(_ONCE, "")
    if not sealed or caller.session is None or request.method != "GET":
        return ""
    return services_of(request).once.open(caller.session, request.scope["path"], sealed)


def forgotten(request: Request, answer: Response) -> Response:
    """Let the browser forget what the page has shown."""
    if _ONCE in request.cookies and request.method == "GET":
        answer.delete_cookie(_ONCE, path=request.scope["path"])
    return answer


def local(address: str) -> str:
    """Return an address of ours, or the inbox for any other."""
    plain = address.isascii() and address.isprintable() and "\\" not in address
    return address if plain and address.startswith("/") and not address.startswith("//") else "/"


def with_session(request: Request, response: Response, token: str) -> Response:
    """Set the session's cookie on an answer."""
    settings = services_of(request).settings
    response.set_cookie(
        cookie_name(secure=settings.secure_cookies), token, max_age=settings.session_seconds,
        path="/", secure=settings.secure_cookies, httponly=True, samesite="lax",
    )  # fmt: skip
    return response
