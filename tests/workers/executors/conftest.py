"""The client's promises hold on both loops: the product runs on uvloop, tests else on asyncio."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
import uvloop

_ASYNCIO: Final = {"asyncio": asyncio.new_event_loop}
_BOTH: Final = {**_ASYNCIO, "uvloop": uvloop.new_event_loop}
_ON_BOTH: Final = frozenset(
    {"test_http_client.py", "test_pool.py", "test_sending.py", "test_identity.py"}
)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the loops that a test runs on."""
    del config
    return _BOTH if Path(item.path).name in _ON_BOTH else _ASYNCIO
