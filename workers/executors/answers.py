"""What is passed on of an upstream's answer: without secrets, cookies and the connection's own."""

import asyncio
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from app.core.outcome import HttpPlan, HttpResult
from app.core.paths import header_name
from app.core.redaction import Redactor
from workers.executors.http_call import Answer

Lines = tuple[tuple[str, str], ...]

_DROPPED: Final = frozenset(
    {
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "alt-svc"),
        *("proxy-authenticate", "proxy-authorization", "proxy-connection"),
    }
)
_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
LARGE: Final = 65_536
"""Bytes that are searched on another thread, while the loop serves others: the search lets go of
the interpreter, and one for thousands of marks takes long."""

_COOKIES: Final = frozenset({"set-cookie", "set-cookie2"})


async def searched(answer: Answer, redactor: Redactor, plan: HttpPlan) -> HttpResult:
    """Return the result of an answer that was collected; a large one is searched on a thread."""
    if len(answer.body) < LARGE or not redactor.longest:
        return whole(answer, redactor, plan)
    return await asyncio.get_running_loop().run_in_executor(None, whole, answer, redactor, plan)


def whole(answer: Answer, redactor: Redactor, plan: HttpPlan) -> HttpResult:
    """Return the result of an answer that was collected."""
    body, count, truncated = _clean_body(answer, redactor, plan.response_bytes)
    headers, more = clean(answer.headers, redactor, plan, decoded=answer.decoded)
    return HttpResult(answer.status, headers, body, truncated=truncated, redacted=count + more)


def clean(
    lines: Sequence[tuple[str, str]], redactor: Redactor, plan: HttpPlan, *, decoded: bool
) -> tuple[Lines, int]:
    """Return the header lines that are passed on, and how often secrets were replaced in them.

    A line that could not be written again (its name held a secret) is left out.

    :param decoded: the body's coding was taken off.
    """
    count = 0
    kept: list[tuple[str, str]] = []
    options = ",".join([value for name, value in lines if name.lower() == "connection"])
    dropped = _dropped(
        options, cookies=plan.pass_cookies, head=plan.method == "HEAD", decoded=decoded
    )
    passed = [line for line in lines if line[0].lower() not in dropped]
    secret = redactor.finds("\0".join([part for line in passed for part in line]))
    for raw_name, raw_value in passed:
        name, value = raw_name, raw_value
        if secret:
            name, in_name = redactor.text(raw_name)
            value, in_value = redactor.text(raw_value)
            count += in_name + in_value
        if header_name(name) is not None and _VALUE.fullmatch(value):
            kept.append((name.lower(), value))
    return tuple(kept), count


@lru_cache(64)
def _dropped(options: str, *, cookies: bool, head: bool, decoded: bool) -> frozenset[str]:
    """Name what concerns the connection alone, cookies, and what the body no longer fits.

    :param options: what the Connection header names.
    """
    dropped = {*_DROPPED, *(option.strip().lower() for option in options.split(","))}
    if not cookies:
        dropped |= _COOKIES
    if not head:
        dropped.add("content-length")
    if decoded:
        dropped.add("content-encoding")
    return frozenset(dropped)


def _clean_body(answer: Answer, redactor: Redactor, cap: int) -> tuple[bytes, int, bool]:
    """Redact the body and cut it to the cap.

    Where the body broke off, its last bytes may be the beginning of a secret: the stream form
    holds them back, and they are never asked for.
    """
    if not answer.truncated:
        body, count = redactor.bytes(answer.body)
    else:
        stream = redactor.stream()
        body = stream.feed(answer.body)
        count = stream.count
    body, more = redactor.end(body)
    return body[:cap], count + more, answer.truncated or len(body) > cap
