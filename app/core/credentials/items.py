"""Vault items: fields that nothing adds by itself; agents name them by handles (VLT-2)."""

import re
from collections.abc import Mapping
from typing import Final

from app.core.credentials.base import Kind, refuse
from app.core.instant import Instant
from app.core.outcome import Injection

FIELD: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Grammar of the name of an item's field; the end of a handle."""


def _build(fields: Mapping[str, str], _now: Instant) -> Injection:
    for name in fields:
        if not FIELD.fullmatch(name):
            refuse(name, "an item's field is named with up to 64 of A-Z a-z 0-9 _ -")
    return Injection()


KIND: Final = Kind("item", "nothing by itself: agents name its fields by handles", (), _build,
                   lambda _: ())  # fmt: skip
