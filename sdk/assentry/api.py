"""Calls of the API by the commands: the standard library alone, so that they start fast."""

import json
import os
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = "8700"
_EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - named to reach it by loopback
SECONDS: Final = 30.0
MOST: Final = 64 * 1024 * 1024
"""Most bytes of an answer that are read."""


class Refused(Exception):
    """The server answered with a problem, or not at all.

    :ivar code: its stable slug; ``unreachable`` and ``not_an_answer`` are ours.
    :ivar answered: the HTTP status; 0 without an answer.
    """

    def __init__(self, code: str, detail: str, answered: int = 0) -> None:
        """Keep what was said."""
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.answered = answered


class _NoRedirects(HTTPRedirectHandler):
    """A redirect would carry the key to another place."""

    def redirect_request(self, *_arguments: Any, **_more: Any) -> None:
        """Follow nothing."""
        return


@dataclass(frozen=True, slots=True)
class Api:
    """One server, as one key sees it."""

    url: str
    key: str = field(repr=False)

    @classmethod
    def from_environment(cls) -> "Api":
        """Return what ``ASSENTRY_URL`` and ``ASSENTRY_KEY`` (or ``ASSENTRY_KEY_FILE``) say.

        Without ``ASSENTRY_URL``: what the server's ``ASSENTRY_HOST`` and ``ASSENTRY_PORT`` say.

        :raises Refused: there is no key, or two, or the address is not one.
        """
        url = os.environ.get("ASSENTRY_URL", "").strip().rstrip("/") or _here()
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            code, detail = "no_address", f"ASSENTRY_URL is not an http(s) address: {url}"
            raise Refused(code, detail)
        return cls(url, _key())

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Call the API and return its JSON answer.

        :raises Refused: with the server's own code and words.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        asked = Request(self.url + path, data=data, method=method, headers=headers)  # noqa: S310 - the scheme was checked
        try:
            with build_opener(_NoRedirects, ProxyHandler({})).open(asked, timeout=SECONDS) as got:
                return json.loads(got.read(MOST))
        except HTTPError as error:
            raise _problem(error) from None
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            code, detail = "unreachable", f"{self.url} does not answer: {reason}"
            raise Refused(code, detail) from None
        except ValueError:
            code, detail = "not_an_answer", f"{self.url} does not answer in JSON; is it Assentry?"
            raise Refused(code, detail) from None


def _here() -> str:
    """Return where a server with the same environment listens."""
    host = os.environ.get("ASSENTRY_HOST", "") or DEFAULT_HOST
    host = DEFAULT_HOST if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{host}:{os.environ.get('ASSENTRY_PORT', '') or DEFAULT_PORT}"


def _key() -> str:
    key, path = os.environ.get("ASSENTRY_KEY", "").strip(), os.environ.get("ASSENTRY_KEY_FILE", "")
    if key and path:
        code = "two_keys"
        detail = "ASSENTRY_KEY and ASSENTRY_KEY_FILE are both set: unset the one that you do not"
        raise Refused(code, f"{detail} mean (an agent's key cannot decide).")
    if key:
        return key
    if not path:
        code = "no_key"
        detail = "Set ASSENTRY_KEY, or ASSENTRY_KEY_FILE to the path of a file that holds it."
        raise Refused(code, detail)
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        code, detail = "no_key", f"ASSENTRY_KEY_FILE: cannot read {path}: {error}"
        raise Refused(code, detail) from None


def _problem(error: HTTPError) -> Refused:
    try:
        told: dict[str, Any] = json.loads(error.read(MOST))
        code, detail = str(told["code"]), str(told["detail"])
        return Refused(code, detail, error.code)
    except (ValueError, KeyError, TypeError, OSError):
        return Refused("not_an_answer", f"the server answered {error.code}", error.code)
