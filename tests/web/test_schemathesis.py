"""Generated calls over the whole document, as an agent and as an administrator (R11, bounded).

A schema cannot say all that the core checks (names that exist, JSON that is a policy), so data
that fits the schema may still be refused; every other check of Schemathesis holds.
"""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.asgi import document
from tests.web.conftest import open_door

EXAMPLES: Final = 12
ROLES: Final = ("agent", "admin")

SCHEMA: Final = schemathesis.openapi.from_dict(document()).exclude(
    operation_id=[
        "sse_request_events", "sse_follow",  # streams have no end to compare
        "session_sign_in", "people_create", "people_change_password",  # hashing takes its time
    ]
)  # fmt: skip


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """A server in a thread of its own: its address, and the keys."""
    folder: Path = tmp_path_factory.mktemp("schemathesis")
    found: dict[str, Any] = {}
    started = threading.Event()

    async def serve() -> None:
        async with open_door(f"sqlite:///{folder / 'test.db'}", folder) as door:
            config = uvicorn.Config(
                door.app, port=0, lifespan="off", access_log=False, log_config=None, ws="none"
            )
            server = found["server"] = uvicorn.Server(config)
            sock = config.bind_socket()
            found["address"] = f"http://127.0.0.1:{sock.getsockname()[1]}"
            found["keys"] = door.keys
            started.set()
            await server.serve(sockets=[sock])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(20)
    yield found["address"], found["keys"]
    found["server"].should_exit = True
    thread.join(20)


@pytest.mark.requirement("REQ-1", "T24", "T36")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("role", ROLES)
@SCHEMA.parametrize()  # pyright: ignore[reportUntypedFunctionDecorator] - untyped upstream
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ],
)
def test_every_answer_is_as_described(
    case: Case[Any], role: str, live: tuple[str, dict[str, str]]
) -> None:
    address, keys = live
    headers = {"Authorization": f"Bearer {keys[role]}"}
    case.call_and_validate(
        base_url=address, headers=headers, excluded_checks=[positive_data_acceptance]
    )
