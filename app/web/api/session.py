"""Signing in and out without a form: the same cookie and form token as the pages use."""

from starlette.requests import Request
from starlette.responses import Response

from app.web.api.replies import nothing, reply
from app.web.bodies import read
from app.web.deps import (
    caller_of,
    check_origin,
    cookie_name,
    remote_ip,
    services_of,
)
from app.web.filters import bare
from app.web.models_directory import SessionOut, SignInIn


async def sign_in(request: Request) -> Response:
    bare(request)
    check_origin(request)
    body = await read(request, SignInIn)
    services = services_of(request)
    agent = request.headers.get("user-agent", "")
    session, token = await services.people.sign_in(
        body.email, body.password, remote_ip(request), agent
    )
    answer = reply(SessionOut(person_id=session.person_id, csrf_token=session.form_token), 201)
    settings = services.settings
    answer.set_cookie(
        cookie_name(secure=settings.secure_cookies),
        token,
        max_age=settings.session_seconds,
        path="/",
        secure=settings.secure_cookies,
        httponly=True,
        samesite="lax",
    )
    return answer


async def sign_out(request: Request) -> Response:
    bare(request)
    caller = await caller_of(request)
    services = services_of(request)
    await services.people.sign_out(caller)
    answer = nothing()
    secure = services.settings.secure_cookies
    answer.delete_cookie(
        cookie_name(secure=secure), path="/", secure=secure, httponly=True, samesite="lax"
    )
    return answer
