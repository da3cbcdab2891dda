"""Loads structlog without rich, which it takes for pretty tracebacks wherever it is installed.

No log of ours has those, and rich is five megabytes of every server's and worker's memory. To be
imported before anything that logs.
"""

import sys
from importlib import import_module
from typing import Final, cast

_NOT_NEEDED: Final = "rich"


def _load() -> None:
    if "structlog" in sys.modules or _NOT_NEEDED in sys.modules:
        return
    modules = cast("dict[str, object]", sys.modules)
    modules[_NOT_NEEDED] = None  # as the import system marks what is not there
    try:
        import_module("structlog")
    finally:
        del modules[_NOT_NEEDED]


_load()
