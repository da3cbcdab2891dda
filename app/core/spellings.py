"""The ways in which an echo may write a secret as a whole (T47), but for mixtures of them."""

import base64
import html
import json
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote, quote_plus


def forms_of(secret: str) -> Iterator[bytes]:
    """Yield each form of a secret; some come more than once."""
    for raw in _encoded(secret):
        yield raw
        yield from (raw.hex().encode(), raw.hex().upper().encode())
        yield from (text.encode() for text in _percent_escaped(raw))
        yield from _base64_forms(raw)
    for wide in ("utf-16-le", "utf-16-be"):
        yield secret.encode(wide, "surrogatepass")
    for text in _escaped(secret):
        yield text.encode("utf-8", "surrogatepass")


def _encoded(secret: str) -> set[bytes]:
    """Return a secret in UTF-8, and in the older encodings of the west that have its letters."""
    found = {secret.encode("utf-8", "surrogatepass")}
    for encoding in () if secret.isascii() else ("latin-1", "cp1252"):
        with suppress(UnicodeEncodeError):
            found.add(secret.encode(encoding))
    return found


def _escaped(secret: str) -> Iterator[str]:
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield json.dumps(secret)[1:-1].replace("/", "\\/")
    yield html.escape(secret)
    yield html.escape(secret, quote=False)
    yield html.escape(secret).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")


def _percent_escaped(raw: bytes) -> Iterator[str]:
    every_byte = "".join(f"%{byte:02X}" for byte in raw)
    for encoded in (quote(raw, safe=""), quote(raw), quote_plus(raw), every_byte):
        yield encoded
        yield _lower_escapes(encoded)


def _lower_escapes(encoded: str) -> str:
    """Lower the hexadecimal digits of percent-escapes and nothing else."""
    first, *rest = encoded.split("%")
    return first + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)


def _base64_forms(raw: bytes) -> Iterator[bytes]:
    """Give the value encoded alone, and the digits that are sure at each alignment in a text."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        alone = encode(raw)
        yield alone
        yield alone.rstrip(b"=")
        for before in range(3):
            digits = encode(bytes(before) + raw)
            first = (before * 8 + 5) // 6
            last = (before + len(raw)) * 8 // 6
            yield digits[first:last]
