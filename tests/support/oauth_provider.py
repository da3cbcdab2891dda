"""An OAuth 2 provider played over real HTTP: consent page, tokens, rotation, and faults on demand.

Refresh tokens rotate by default; one that was used before is noticed, and then everything of its
family ends, as RFC 9700 section 4.14 has it. ``/api/me`` is a resource that takes live tokens.
"""

import asyncio
import base64
import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote_plus, urlencode

from aiohttp import web

CLIENT: Final = "assentry-client"
CLIENT_SECRET: Final = "canary-9f1d-secret-value"  # the canary: it must never be said aloud
_PAGE: Final = """<!doctype html><title>Consent</title><h1>Let Assentry in?</h1>
<form method="post"><input type="hidden" name="query" value="{query}">
<p>It asks for: <b id="scopes">{scope}</b></p>
<button name="answer" value="yes">Allow</button><button name="answer" value="no">Refuse</button>
</form>"""

Fault = Callable[[web.Request], "web.StreamResponse | None"]


@dataclass
class Family:
    """The tokens that came of one consent."""

    account: str
    scope: str
    refresh: str = ""
    used: set[str] = field(default_factory=set[str])
    access: set[str] = field(default_factory=set[str])
    ended: bool = False


@dataclass
class Code:
    """A code that waits for its exchange."""

    redirect_uri: str
    challenge: str
    scope: str


@dataclass
class Provider:
    """The provider; use it as an async context manager.

    :ivar expires_in: life that is told of access tokens; None tells none.
    :ivar rotates: whether a refresh gives a new refresh token.
    :ivar faults: answers to give instead, one for each call of the token endpoint: ``500``,
        ``hang``, ``garbage``, ``huge``, ``redirect``, ``cut``, or an OAuth error's code.
    :ivar calls: of the token endpoint, by grant.
    :ivar forms: what came to the token endpoint, in order.
    """

    expires_in: int | None = 3600
    rotates: bool = True
    pkce: bool = True
    client_auth: str = "body"
    slow: bool = False
    faults: list[str] = field(default_factory=list[str])
    calls: Counter[str] = field(default_factory=Counter[str])
    forms: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    revoked: list[str] = field(default_factory=list[str])
    reused: int = 0
    url: str = ""
    account: str = "octavia"
    secret: str = CLIENT_SECRET
    seen: list[str] = field(default_factory=list[str])
    _codes: dict[str, Code] = field(default_factory=dict[str, Code])
    _families: list[Family] = field(default_factory=list[Family])
    _free: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/authorize", self._consent)
        app.router.add_post("/authorize", self._decide)
        app.router.add_post("/token", self._token)
        app.router.add_post("/revoke", self._revoke)
        app.router.add_get("/api/{path:.*}", self._resource)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
        if self._runner is not None:
            await self._runner.cleanup()

    def release(self) -> None:
        """Answer what hangs or is slow."""
        self.slow = False
        self._free.set()

    async def until(self, done: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until something holds, looking after each call of the token endpoint."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(done)

    def endpoints(self, **changes: Any) -> dict[str, Any]:
        """Return what a connection's form or body says of this provider."""
        return {
            "client_id": CLIENT, "client_secret": self.secret, "networks": ["127.0.0.0/8"],
            "authorize_url": f"{self.url}/authorize", "token_url": f"{self.url}/token",
            "revoke_url": f"{self.url}/revoke", "scopes": ["read", "write"], **changes,
        }  # fmt: skip

    def consent(self, query: dict[str, str]) -> str:
        """Consent as the person at the page would, and return where the browser is sent."""
        code = secrets.token_urlsafe(24)
        challenge = query.get("code_challenge", "") if self.pkce else ""
        scope = query.get("scope", "")
        self._codes[code] = Code(query["redirect_uri"], challenge, scope)
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def end(self) -> None:
        """Take back everything, as a person does in the service's settings."""
        for family in self._families:
            family.ended = True

    def expire(self) -> None:
        """Let the access tokens end before their time."""
        for family in self._families:
            family.access.clear()

    async def _consent(self, request: web.Request) -> web.Response:
        query = base64.urlsafe_b64encode(json.dumps(dict(request.query)).encode()).decode()
        text = _PAGE.format(query=query, scope=request.query.get("scope", ""))
        return web.Response(text=text, content_type="text/html")

    async def _decide(self, request: web.Request) -> web.Response:
        form = await request.post()
        query = json.loads(base64.urlsafe_b64decode(str(form["query"])))
        if form["answer"] == "yes":
            raise web.HTTPFound(self.consent(query))
        refused = urlencode({"error": "access_denied", "state": query["state"]})
        raise web.HTTPFound(f"{query['redirect_uri']}?{refused}")

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        async with self._news:
            self.calls[form.get("grant_type", "")] += 1
            self._news.notify_all()
        if self.slow:
            await self._free.wait()
        if self.faults:
            fault = await self._fault(self.faults.pop(0))
            if fault is not None:
                return fault
        if not self._knows(request, form):
            return web.json_response({"error": "invalid_client"}, status=401)
        return self._grant(form)

    async def _fault(self, name: str) -> web.StreamResponse | None:
        match name:
            case "500":
                return web.Response(status=500, text="<h1>trouble</h1>")
            case "hang":
                await self._free.wait()
                return web.Response(status=503)
            case "garbage":
                return web.Response(text="{not json", content_type="application/json")
            case "huge":
                return web.Response(text='{"access_token":"' + "a" * 200_000 + '"}')
            case "redirect":
                return web.Response(status=307, headers={"location": f"{self.url}/token?again"})
            case "good":
                return None
            case _:
                return web.json_response({"error": name}, status=400)

    def _knows(self, request: web.Request, form: dict[str, str]) -> bool:
        if self.client_auth == "body":
            return (form.get("client_id"), form.get("client_secret", "")) == (CLIENT, self.secret)
        _, _, coded = request.headers.get("authorization", "").partition(" ")
        name, _, value = base64.b64decode(coded).decode().partition(":")
        return (unquote_plus(name), unquote_plus(value)) == (CLIENT, self.secret)

    def _grant(self, form: dict[str, str]) -> web.Response:
        match form.get("grant_type"):
            case "authorization_code":
                return self._exchange(form)
            case "refresh_token":
                return self._refresh(form["refresh_token"])
            case "client_credentials":
                family = Family(CLIENT, form.get("scope", ""))
                self._families.append(family)
                return self._tokens(family, refresh=False)
            case _:
                return web.json_response({"error": "unsupported_grant_type"}, status=400)

    def _exchange(self, form: dict[str, str]) -> web.Response:
        code = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        good = code is not None and code.redirect_uri == form.get("redirect_uri")
        if code is None or not good or (code.challenge and code.challenge != proof):
            return web.json_response({"error": "invalid_grant"}, status=400)
        family = Family(self.account, code.scope)
        self._families.append(family)
        return self._tokens(family, refresh=True)

    def _refresh(self, token: str) -> web.Response:
        for family in self._families:
            if token in family.used:
                self.reused += 1
                family.ended = True
            elif token == family.refresh and not family.ended:
                if self.rotates:
                    family.used.add(token)
                return self._tokens(family, refresh=self.rotates)
        return web.json_response({"error": "invalid_grant"}, status=400)

    def _tokens(self, family: Family, *, refresh: bool) -> web.Response:
        access = f"at-{secrets.token_urlsafe(24)}"
        family.access.add(access)
        body: dict[str, Any] = {"access_token": access, "token_type": "Bearer"}
        if refresh:
            family.refresh = body["refresh_token"] = f"rt-{secrets.token_urlsafe(24)}"
        if self.expires_in is not None:
            body["expires_in"] = self.expires_in
        if family.scope:
            body["scope"] = family.scope
        return web.json_response(body)

    async def _revoke(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.revoked.append(str(form["token_type_hint"]))
        for family in self._families:
            if form["token"] in (family.refresh, *family.access):
                family.ended = True
        return web.Response()

    async def _resource(self, request: web.Request) -> web.Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        for family in self._families:
            if token in family.access and not family.ended:
                self.seen.append(family.account)
                return web.json_response({"account": family.account, "echo": token})
        return web.json_response({"error": "invalid_token"}, status=401)
