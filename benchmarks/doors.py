"""The API's hot paths on one running server, beside the machine's own floor.

    python -m benchmarks.doors [--seconds 3] [--rows 1000,100000] [--only create,read]
                               [--connections 1,16,64] [--database URL]

Everything is durable (SQLite with synchronous=FULL, or PostgreSQL as configured). The server, its
worker and the load generator share the machine's cores. Rates vary with what else the machine does;
the CPU time that the server's process took for one request varies much less.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import floor
from benchmarks.fill import fill
from tests.support.server import Installation, installation

CONNECTIONS: Final = "1,16,64"
PARTS: Final = "floor,create,decide,read,list"
POLICIES: Final = 20
DISTINCT: Final = 20_000
"""Different requests that are sent in turn."""


@dataclass
class Bench:
    """A product under load, and where the request files go."""

    product: Installation
    folder: Path
    seconds: float
    connections: tuple[int, ...]

    @property
    def port(self) -> int:
        return int(self.product.base_url.rsplit(":", 1)[1])

    def message(self, method: str, path: str, key: str, body: object = None) -> str:
        text = "" if body is None else json.dumps(body)
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}"]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(text.encode())}"]
        return "\r\n".join(lines) + "\r\n\r\n" + text

    def load(self, messages: Iterable[str], connections: int, *, once: bool = False) -> Any:
        pid = self.product.servers[0].pid
        return drive((self.port, pid), self.folder, messages, connections, self.seconds, once=once)

    def call(self, method: str, path: str, key: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.product.base_url + path,
            data=data,
            method=method,
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or b"null")


def drive(
    server: tuple[int, int],
    folder: Path,
    messages: Iterable[str],
    connections: int,
    seconds: float,
    *,
    once: bool = False,
) -> Any:
    """Run the load generator in its own process and return what it measured.

    :param server: port and process id; ``cpu`` of the result is in microseconds a request.
    """
    port, pid = server
    file = folder / "requests.jsonl"
    file.write_text("\n".join(json.dumps(message) for message in messages))
    command = [
        sys.executable, "-m", "benchmarks.load", str(port), str(file),
        "--connections", str(connections), "--seconds", str(seconds),
    ]  # fmt: skip
    if once:
        command.append("--once")
    before = cpu_seconds(pid)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    answered = sum(result["statuses"].values()) or 1
    result["cpu"] = (cpu_seconds(pid) - before) * 1_000_000 / answered
    return result


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has taken so far, in user and system mode."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def bare_server() -> Generator[tuple[int, int], None, None]:
    """Run the bare Starlette server and give its port and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.floor", str(port)])
    try:
        _await_port(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    message = f"nothing listens on {port}"
    raise TimeoutError(message)


def row(name: str, connections: int, result: Any) -> None:
    statuses = " ".join(f"{code}:{count}" for code, count in sorted(result["statuses"].items()))
    print(
        f"{name:<38} {connections:>4} {result['rate']:>9.0f} {result['p50']:>9.2f} "
        f"{result['p99']:>9.2f} {result['cpu']:>7.0f}  {statuses}",
        flush=True,
    )


def show_floor(folder: Path, seconds: float, connections: Iterable[int]) -> None:
    print(f"bare SQLite commit loop (FULL): {floor.commits():.0f} commits/s")
    get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    post = "POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\n" + "x" * 300
    with bare_server() as server:
        for count in connections:
            row("floor: bare Starlette GET", count, drive(server, folder, [get], count, seconds))
        for count in connections:
            row("floor: bare Starlette POST", count, drive(server, folder, [post], count, seconds))


def seed_policies(bench: Bench) -> None:
    """Make 20 policies, one of which allows and the others never match."""
    for number in range(POLICIES - 1):
        match = {"action": f"other_{number}", "params.amount": {"gt": number}}
        bench.call("POST", "/api/policies", bench.product.admin_key, {
            "name": f"policy {number}", "priority": number,
            "rules": [{"name": "rule", "effect": "deny", "match": match}],
        })  # fmt: skip
    bench.call("POST", "/api/policies", bench.product.admin_key, {
        "name": "allow reads", "priority": 100,
        "rules": [{"name": "reads", "effect": "allow", "match": {"action": "read_file"}}],
    })  # fmt: skip


def asked(action: str, step: int = 7) -> dict[str, object]:
    return {
        "action": action,
        "params": {"path": "/srv/data/report.csv", "amount": 42, "note": "weekly report"},
        "context": {"run": "run-1234", "step": step},
        "reason": "the weekly report is due",
    }


def creating(bench: Bench) -> None:
    agent = bench.product.agent_key
    for connections in bench.connections:
        message = bench.message("POST", "/api/requests", agent, asked("read_file"))
        row("create, auto-approved", connections, bench.load([message], connections))
    for connections in bench.connections:
        steps = range(connections * DISTINCT, (connections + 1) * DISTINCT)
        messages = (
            bench.message("POST", "/api/requests", agent, asked("send_mail", step))
            for step in steps  # identical ones would be joined
        )
        row("create, pending", connections, bench.load(messages, connections))


def deciding(bench: Bench) -> None:
    for connections in bench.connections:
        found = pending(bench, 25_000 if connections > 1 else 6_000)
        messages = (
            bench.message("POST", f"/api/requests/{name}/decide", bench.product.admin_key,
                          {"decision": "approve", "digest": digest})
            for name, digest in found
        )  # fmt: skip
        row("decide", connections, bench.load(messages, connections, once=True))


def reading(bench: Bench) -> None:
    agent = bench.product.agent_key
    one = bench.call("POST", "/api/requests", agent, asked("read_file"))["id"]
    waiting = bench.call("POST", "/api/requests", agent, asked("send_mail", 0))["id"]
    for connections in bench.connections:
        message = bench.message("GET", f"/api/requests/{one}", agent)
        row("read one, decided", connections, bench.load([message], connections))
    message = bench.message("GET", f"/api/requests/{waiting}", agent)
    row("read one, pending", 16, bench.load([message], 16))


def measure(bench: Bench, parts: list[str], rows: list[int]) -> None:
    if "create" in parts:
        creating(bench)
    if "decide" in parts:
        deciding(bench)
    if "read" in parts:
        reading(bench)
    for count in rows if "list" in parts else []:
        fill(bench.product.env, count)
        lists(bench, count)


def lists(bench: Bench, count: int) -> None:
    agent, admin = bench.product.agent_key, bench.product.admin_key
    cursor = bench.call("GET", "/api/requests?limit=200", admin)["next"]
    for name, path, key in (
        ("page of 50, all", "/api/requests?limit=50", admin),
        ("page of 50, by action", "/api/requests?limit=50&action=send_mail", admin),
        ("page of 50, own pending", "/api/requests?limit=50&status=pending", agent),
        ("page of 200, second", f"/api/requests?limit=200&cursor={cursor}"[: -0 or None], admin),
    ):
        row(f"{name}, {count:,} rows", 16, bench.load([bench.message("GET", path, key)], 16))


def pending(bench: Bench, most: int) -> list[tuple[str, str]]:
    """Return ids and digests of pending requests."""
    found: list[tuple[str, str]] = []
    path = "/api/requests?limit=200&status=pending"
    cursor = ""
    while len(found) < most:
        page = bench.call("GET", path + cursor, bench.product.admin_key)
        found += [(item["id"], item["digest"]) for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    return found


def memory(bench: Bench) -> str:
    status = Path(f"/proc/{bench.product.servers[0].pid}/status").read_text()
    kept = [line for line in status.splitlines() if line.startswith(("VmRSS", "VmHWM"))]
    return ", ".join(" ".join(line.split()) for line in kept)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rows", default="1000,100000")
    parser.add_argument("--only", default=PARTS, help=f"some of {PARTS}")
    parser.add_argument("--connections", default=CONNECTIONS)
    parser.add_argument("--database", default="")
    options = parser.parse_args(argv)
    rows = [int(text) for text in options.rows.split(",") if text]
    connections = tuple(int(text) for text in options.connections.split(","))
    parts = options.only.split(",")
    head = f"{'what':<38} {'conn':>4} {'req/s':>9} {'p50 ms':>9} {'p99 ms':>9} {'cpu us':>7}"
    print(head + "  statuses")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "floor" in parts:
            show_floor(folder, options.seconds, connections)
        settings = {"database_url": options.database} if options.database else {}
        with installation(folder / "data", **settings) as product:
            bench = Bench(product, folder, options.seconds, connections)
            print(f"idle memory: {memory(bench)}")
            bench.call("PATCH", f"/api/agents/{product.agent_id}", product.admin_key,
                       {"open_limit": 0})  # fmt: skip
            seed_policies(bench)
            measure(bench, parts, rows)
            print(f"memory after all of that: {memory(bench)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
