"""A load generator on loopback: keep-alive connections, one request at a time on each.

It runs in a process of its own (``python -m benchmarks.load``), so that it does not share the
server's interpreter. Requests come from a file: one JSON string per line, cycled or used up.
With a rate, requests have their times, and latencies are from those: who is late is seen.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import uvloop

_END = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the answer to the last one is complete."""

    def __init__(self, run: "Run") -> None:
        self.run = run
        self.buffer = b""
        self.started = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        at = self.run.slot()
        if (left := at - time.perf_counter()) > 0:
            asyncio.get_running_loop().call_later(left, self.write, at)
        else:
            self.write(at)

    def write(self, started: float) -> None:
        request = self.run.next()
        if request is None:
            self.transport.close()
            return
        self.started = started
        self.transport.write(request)  # pyright: ignore[reportAttributeAccessIssue]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (length := self.complete()) is not None:
            status = self.buffer[9:12].decode()
            self.buffer = self.buffer[length:]
            self.run.count(status, time.perf_counter() - self.started)
            self.send()

    def complete(self) -> int | None:
        head = self.buffer.find(_END)
        if head < 0:
            return None
        at = self.buffer.lower().find(b"content-length:", 0, head)
        size = 0 if at < 0 else int(self.buffer[at + 15 : self.buffer.find(b"\r", at)])
        total = head + len(_END) + size
        return total if len(self.buffer) >= total else None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self.run.lost()


class Run:
    """One run: what is sent, and what came back."""

    def __init__(
        self, requests: Iterator[bytes], connections: int, seconds: float, rate: float = 0.0
    ) -> None:
        self.requests = requests
        self.open = connections
        self.until = time.perf_counter() + seconds
        self.every = 1 / rate if rate else 0.0
        self.at = time.perf_counter()
        self.statuses: dict[str, int] = {}
        self.times: list[float] = []
        self.done = asyncio.get_running_loop().create_future()

    def slot(self) -> float:
        """Return when the next request is to be sent: now, or at the rate."""
        if not self.every:
            return time.perf_counter()
        self.at += self.every
        return self.at

    def next(self) -> bytes | None:
        if time.perf_counter() >= self.until:
            return None
        return next(self.requests, None)

    def count(self, status: str, seconds: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.times.append(seconds)

    def lost(self) -> None:
        self.open -= 1
        if self.open == 0 and not self.done.done():
            self.done.set_result(None)


async def measure(
    port: int, requests: Iterator[bytes], connections: int, seconds: float, rate: float = 0.0
) -> dict[str, object]:
    """Run the load and return rate, latencies in milliseconds and status counts."""
    loop = asyncio.get_running_loop()
    run = Run(requests, connections, seconds, rate)
    started = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(run), "127.0.0.1", port)
    await run.done
    elapsed = time.perf_counter() - started
    times = sorted(run.times) or [0.0]
    return {
        "rate": round(len(run.times) / elapsed, 1),
        "p50": round(times[len(times) // 2] * 1000, 3),
        "p99": round(times[min(len(times) - 1, int(len(times) * 0.99))] * 1000, 3),
        "statuses": run.statuses,
    }


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second, over all")
    parser.add_argument("--once", action="store_true", help="use each request once")
    options = parser.parse_args(argv)
    lines = [json.loads(line).encode() for line in options.file.read_text().splitlines()]
    requests: Iterator[bytes] = iter(lines) if options.once else cycle(lines)
    result = uvloop.run(
        measure(options.port, requests, options.connections, options.seconds, options.rate)
    )
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
