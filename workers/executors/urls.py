"""The URL of a call, as the client library wants it, byte for byte what the call says (T43)."""

from functools import lru_cache
from typing import Final

from yarl import URL

from app.core.outcome import NotStarted
from workers.executors.http_call import Call


def is_literal(host: str) -> bool:
    """Whether the host is an address."""
    return ":" in host or host.rpartition(".")[2].isdigit()


def url_of(call: Call) -> URL:
    """Return the URL; one with a query is not kept, as a credential may stand there.

    :raises NotStarted: it would say something else than the call does.
    """
    path, mark, query = call.target.partition("?")
    build = _built if mark else _known
    return build(call.scheme, call.authority, call.host, path, mark, query)


def _built(scheme: str, authority: str, host: str, path: str, mark: str, query: str) -> URL:
    """Build the URL without re-encoding, and assert that it says what the call says.

    :raises NotStarted: when it does not.
    """
    url = URL.build(scheme=scheme, authority=authority, path=path, query_string=query, encoded=True)
    same = url.raw_host == host and url.scheme == scheme
    if not same or url.raw_path_qs != path + (mark and query and f"?{query}"):
        code, detail = "invalid_url", "the address changed while it was put together"
        raise NotStarted(code, detail, retryable=False)
    return url


_known: Final = lru_cache(256)(_built)
