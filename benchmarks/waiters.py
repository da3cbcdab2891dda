"""From one decision to the last of many clients that wait for it.

    python -m benchmarks.waiters [--clients 1000,5000] [--rounds 5] [--database URL]

Each client holds a long poll of its own connection on the same request. The client process decides
as well, so that both ends of the time are read from one clock. After each round the machine's floor
is measured, a bare Starlette route: the time is printed as that of so many bare calls, too.
"""

import argparse
import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.doors import bare_server, drive
from tests.support.server import Installation, installation

_SETTLE = 1.0
"""Seconds for the last poll to arrive, before the decision."""


class Waiting(asyncio.Protocol):
    """Sends one call and notes when its answer begins."""

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.answered: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.status = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self.message)  # pyright: ignore[reportAttributeAccessIssue]

    def data_received(self, data: bytes) -> None:
        if not self.answered.done():
            self.status = data[9:12]
            self.answered.set_result(time.perf_counter())
            self.transport.close()


def message(port: int, method: str, path: str, key: str, body: object = None) -> bytes:
    text = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


async def call(port: int, method: str, path: str, key: str, body: object = None) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(message(port, method, path, key, body))
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    size = int(head.split("content-length:")[1].split("\r")[0])
    answer = json.loads(await reader.readexactly(size))
    writer.close()
    return answer


async def once(port: int, clients: int, admin: str, agent: str, number: int) -> list[float]:
    """Return the seconds from the decision to each answer."""
    loop = asyncio.get_running_loop()
    asked = await call(port, "POST", "/api/requests", agent,
                       {"action": "send_mail", "context": {"n": number}})  # fmt: skip
    path = f"/api/requests/{asked['id']}"
    poll = message(port, "GET", f"{path}?wait=60&until=decided", agent)
    made: list[Waiting] = []
    for _ in range(clients):
        _, protocol = await loop.create_connection(lambda: Waiting(poll), "127.0.0.1", port)
        made.append(protocol)
    await asyncio.sleep(_SETTLE)
    ballot = {"decision": "deny", "digest": asked["digest"]}
    began = time.perf_counter()
    await call(port, "POST", f"{path}/decide", admin, ballot)
    ended = await asyncio.gather(*(protocol.answered for protocol in made))
    assert {protocol.status for protocol in made} == {b"200"}
    return [at - began for at in ended]


async def measure(
    product: Installation, clients: int, rounds: int, floor: Callable[[], float]
) -> None:
    port = int(product.base_url.rsplit(":", 1)[1])
    lasts: list[float] = []
    middles: list[float] = []
    bare: list[float] = []
    for number in range(rounds):
        found = await once(
            port, clients, product.admin_key, product.agent_key, clients * 1000 + number
        )
        lasts.append(max(found) * 1000)
        middles.append(statistics.median(found) * 1000)
        bare.append(max(found) * floor())
    print(
        f"decide → {clients:>5} waiting clients: last {statistics.median(lasts):6.1f} ms "
        f"(worst of {rounds}: {max(lasts):.1f}), median {statistics.median(middles):.1f} ms; "
        f"the last as {statistics.median(bare):,.0f} bare calls",
        flush=True,
    )


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", default="1000,5000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database", default="")
    options = parser.parse_args(argv)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    settings = {"database_url": options.database} if options.database else {}
    with tempfile.TemporaryDirectory() as name, bare_server() as bare:
        folder = Path(name) / "data"

        def floor() -> float:
            get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
            return float(drive(bare, Path(name), [get], 16, 1)["rate"])

        with installation(folder, max_waiters_per_key=20_000, **settings) as product:
            for text in options.clients.split(","):
                run = measure(product, int(text), options.rounds, floor)
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(run)
            memory = Path(f"/proc/{product.servers[0].pid}/status").read_text()
            print(next(line for line in memory.splitlines() if line.startswith("VmHWM")))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
