"""Every route, asked by everybody: no value of a credential is in any answer (T62, VLT-1)."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterable, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from starlette.routing import BaseRoute, Route

from app.core.credentials import KINDS
from app.core.principals import Role
from app.core.ssh_target import SshSettings
from app.core.targets import CredentialGrant
from app.services.webhooks import Wanted
from tests.support.canary import WILD, Place, forms
from tests.support.upstream import Upstream
from tests.web.conftest import AGENTS, ROLES, Door, open_door
from tests.workers.executors.test_identity import made as certificate

pytestmark = pytest.mark.timeout(300)

CHANGING: Final = ("nobody", "key of agent", "key of viewer", "session of approver")
"""Who tries the routes that change something; others read."""

PASSWORD: Final = "four unrelated words 47"
_ID: Final = re.compile(r"\b[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}\b")


def secret(name: str) -> str:
    """Return a value of its own for a kind, that looks different in nearly every encoding."""
    return f"{name[0]}&{name[-1]}=/{WILD[:-3]}~{len(name)}{name[1:3]}"


def _plain_key() -> str:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


CERTIFICATE: Final = certificate("door")
FIELDS: Final[dict[str, dict[str, str]]] = {
    "bearer": {"token": secret("bearer")},
    "basic": {"username": "jo", "password": secret("basic")},
    "headers": {"X-Api-Key": secret("headers")},
    "query": {"key": secret("query")},
    "body": {"auth.key": secret("body")},
    "jwt": {"key": _plain_key(), "issuer": "app"},
    "hmac": {"secret": secret("hmac")},
    "aws_sigv4": {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "aws-9f+Zk/47-secret-value",
                  "region": "x", "service": "y"},
    "mtls": {"certificate": CERTIFICATE.chain, "private_key": CERTIFICATE.key},
    "item": {"token": secret("item"), "user": "jo"},
}  # fmt: skip
_LOGIN: Final = ed25519.Ed25519PrivateKey.generate()


def _login_key() -> str:
    return _LOGIN.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    ).decode()


def _public() -> str:
    public = _LOGIN.public_key()
    return public.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode()


def _signed() -> str:
    made = (
        serialization.SSHCertificateBuilder()
        .public_key(_LOGIN.public_key())
        .type(serialization.SSHCertificateType.USER)
        .valid_for_all_principals()
        .valid_after(0)
        .valid_before(2**32)
    )
    return made.sign(_LOGIN).public_bytes().decode()


SSH: Final[dict[str, dict[str, str]]] = {
    "ssh_key": {"private_key": _login_key()},
    "ssh_password": {"password": secret("ssh_password")},
    "ssh_certificate": {"private_key": _login_key(), "certificate": _signed()},
}
"""Of kinds that log in to hosts."""

_SECRET_NAMES: Final = frozenset(
    {field.name for kind in KINDS.values() for field in kind.fields if field.secret}
)


def planted() -> Iterable[str]:
    """Yield the secrets, of keys each line apart."""
    for kind, fields in (FIELDS | SSH).items():
        for name, value in fields.items():
            if name in _SECRET_NAMES or not KINDS[kind].fields:
                lines = value.splitlines()[1:-1] if value.startswith("-----") else [value]
                yield from (line for line in lines if len(line) > 6)


def test_every_kind_is_planted() -> None:
    assert set(FIELDS | SSH) == set(KINDS)


@pytest.fixture
async def walked(tmp_path: Path) -> AsyncGenerator[Door, None]:
    async with open_door(f"sqlite:///{tmp_path / 'test.db'}", tmp_path) as opened:
        yield opened


async def plant(door: Door, upstream: Upstream) -> None:
    """Make a credential of every kind, with a target and leave, and a webhook."""
    services, anne = door.world.services, door.world.anne
    settings = (await door.world.target(upstream.url, name="settings")).settings
    for kind, fields in FIELDS.items():
        credential = await services.vault.create(
            anne, name=f"c-{kind}", kind=kind, fields=fields, description="d",
            public_fields=["user"] if kind == "item" else [],
        )  # fmt: skip
        target = await services.targets.create(
            anne, name=kind, base_url=upstream.url, settings=settings,
            credential_id=None if kind == "item" else credential.id,
        )  # fmt: skip
        if kind == "item":
            await services.vault.grant(anne, CredentialGrant(credential.id, target.id, "*"))
    host = SshSettings(host="127.0.0.1", port=1, user="u", host_keys=(_public(),))
    for kind, fields in SSH.items():
        credential = await services.vault.create(
            anne, name=f"c-{kind}", kind=kind, fields=fields, description="d"
        )
        await services.targets.create(
            anne, name=kind, base_url="", settings=replace(settings, ssh=host),
            credential_id=credential.id,
        )  # fmt: skip
    await services.webhooks.create(anne, Wanted(name="hook", url="https://hooks.example.org/x"))
    await door.world.policy("all", "allow", {"target": {"in": list(FIELDS | SSH)}})
    await door.world.policy("ask", "review", {"target": "settings"})


async def use(door: Door, heard: list[Place]) -> None:
    """Call an upstream that echoes, with each credential, through two doors."""
    client = await door.client("agent")
    handle = "{{default/c-item.token}}"
    body = {"note": "x", "handle": handle}
    for kind in FIELDS:
        sent = body if kind == "item" else {"note": "x"}
        for answer in (
            await client.post(f"/gateway/{kind}/echo", json=sent),
            await client.post("/api/requests", json={
                "action": "http.request", "target": kind,
                "params": {"method": "POST", "path": "/echo", "json": sent},
            }),
        ):  # fmt: skip
            assert answer.status_code < 500 or kind == "mtls", (kind, answer.text)
            heard.append((f"use of {kind}: {answer.status_code}", answer.content))
    for kind in SSH:
        answer = await client.post(f"/ssh/{kind}/exec", json={"command": "uptime"})
        assert answer.status_code == 502, (kind, answer.text)
        heard.append((f"use of {kind}: {answer.status_code}", answer.content))
    for request in (await client.get("/api/requests?limit=100")).json()["items"]:
        if request["status"] == "approved":
            await door.world.services.execution.run(request["id"])
    await client.post("/api/requests", json={
        "action": "http.request", "target": "settings", "params": {"method": "GET", "path": "/"},
    })  # fmt: skip


def derived(upstream: Upstream) -> set[str]:
    """Return what was made of the secrets: tokens and signatures, as they were sent."""
    found: set[str] = set()
    for received in upstream.log:
        for name in ("authorization", "x-signature", "x-api-key"):
            for value in received.header(name):
                found.update((value, value.rpartition(" ")[2], value.rpartition("=")[2]))
    return {value for value in found if len(value) > 12}


async def said(
    door: Door, method: str, address: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, bytes]:
    """Return status and everything that is answered; a stream is left after its beginning."""
    path, _, query = address.partition("?")
    lines = {"host": "127.0.0.1:8700", "content-type": "application/json", **headers}
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    status, parts = 0, list[bytes]()

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)
        parts.extend(b": ".join(line) + b"\n" for line in message.get("headers", ()))
        parts.append(message.get("body", b""))

    async with asyncio.timeout(20):
        await door.app(
            {
                "type": "http", "http_version": "1.1", "method": method, "path": path,
                "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
                "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
                "scheme": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8700),
            },
            receive,
            send,
        )  # fmt: skip
    return status, b"".join(parts)


def addresses(routes: list[BaseRoute], ids: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Return every method and address: each route with every id that fits its placeholder."""
    found: list[tuple[str, str]] = []
    for route in routes:
        if not isinstance(route, Route):
            continue
        filled = [route.path]
        for name in route.param_convertors:
            forms_of = [re.compile(rf"{{{name}(:\w+)?}}")]
            filled = [
                forms_of[0].sub(value, path)
                for path in filled
                for value in ids.get(name[:3], ["1", "none"])
            ]
        found += [(method, path) for method in route.methods or () for path in filled]
    return found


async def ids_of(door: Door) -> dict[str, list[str]]:
    """Return the ids of everything, by the first letters of their placeholder's name."""
    client = await door.client("admin")
    found: dict[str, list[str]] = {}
    for name in ("requests", "policies", "targets", "credentials", "agents", "people",
                 "webhooks", "keys"):  # fmt: skip
        text = (await client.get(f"/api/{name}?limit=100" if name == "requests"
                                 else f"/api/{name}")).text  # fmt: skip
        ids = [item["id"] for item in json.loads(text)["items"]]
        assert ids, name
        found["per" if name == "people" else name[:3]] = ids
    return found


async def principals(door: Door) -> dict[str, dict[str, str]]:
    """Return the headers of everybody: nobody, keys, and people with a session."""
    callers: dict[str, dict[str, str]] = {"nobody": {}}
    for who in (*AGENTS, "stranger", *ROLES):
        callers[f"key of {who}"] = {"authorization": f"Bearer {door.keys[who]}"}
    for role in Role:
        email = f"{role.value}-walks@example.org"
        await door.world.services.people.create(
            door.world.anne, name=role.value, email=email, role=role, password=PASSWORD
        )
        client = await door.client()
        signed = await client.post("/api/session", json={"email": email, "password": PASSWORD})
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        token = signed.json()["csrf_token"]
        callers[f"session of {role.value}"] = {"cookie": cookie, "x-csrf-token": token}
    return callers


@pytest.mark.requirement("VLT-1", "VLT-2", "T62", "T47")
async def test_no_answer_holds_a_value(walked: Door) -> None:
    heard: list[Place] = []
    async with Upstream() as upstream:
        await plant(walked, upstream)
        await use(walked, heard)
        sought = {*planted(), *derived(upstream)}
        assert len(upstream.log) >= 2 * (len(FIELDS) - 1) and len(sought) > 15
        used = repr([(one.target, one.headers, one.body) for one in upstream.log])
    for kind in ("bearer", "basic", "headers", "query", "body", "item"):
        assert any(form.decode() in used for form in forms(secret(kind))), f"{kind} was not used"
    everywhere = addresses(walked.app.router.routes, await ids_of(walked))
    shown = 0
    for who, headers in (await principals(walked)).items():
        for method, address in everywhere:
            if method == "HEAD" or (method != "GET" and who not in CHANGING):
                continue
            if address.startswith("/gateway"):
                continue
            status, answer = await said(walked, method, address, headers, b"{}")
            assert status < 500, (who, method, address)
            shown += status == 200
            heard.append((f"{who}: {method} {address}", answer))
    assert shown > 300 and len(heard) > 1000
    assert leaks_of(sought, heard) == []


def leaks_of(values: Iterable[str], heard: Iterable[Place]) -> list[str]:
    """Return the places in which any form of a value stands; equal answers are searched once."""
    places = {answer: place for place, answer in heard}
    searched = {form for value in values for form in forms(value)}
    everything = b"\0".join(places)
    return [
        f"{place}: {form!r}"
        for form in searched
        if form in everything
        for answer, place in places.items()
        if form in answer
    ]


def test_a_value_would_be_found() -> None:
    heard = [("a page", b"nothing"), ("another", b"x" + secret("body").encode().hex().encode())]
    (found,) = leaks_of([secret("body"), secret("item")], heard)
    assert found.startswith("another: ")
