"""The gateway beside nginx and a minimal Node proxy, in the same run on the same upstream.

    python -m benchmarks.gateway [--seconds 5] [--rounds 3] [--streams 1000]

The gateway authenticates, judges by policy, opens a bearer credential and keeps a durable record
of each call (SQLite, synchronous=FULL); the others do none of that. Between them, for small calls,
stands what Python needs at least for such a record (``benchmarks/bare.py``). Everything shares the
machine's cores. Needs nginx, wrk and nodejs (Debian packages of these names).
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.cli.start import allow_files
from benchmarks.origin import LARGE
from tests.support.server import Installation, free_port, installation

CONNECTIONS: Final = 16
BARE: Final = "bare"
"""The least that a gateway in Python does; for small calls alone."""

WAIT: Final = 30.0
"""Seconds without a byte after which a measurement is given up."""

TOKEN: Final = "upstream-" + "0" * 16
NEEDED: Final = ("nginx", "wrk", "node")

_NGINX: Final = """
daemon off; worker_processes 1; error_log stderr error; pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 0; proxy_max_temp_file_size 0;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer {token}";
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Something that answers, directly or as a proxy."""

    name: str
    port: int
    prefix: str = ""
    key: str = ""
    pid: int = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}{path}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def memory(self, field: str = "VmRSS") -> int:
        """Return the process's memory in KiB."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"{field}:\s+(\d+)", text)
        return int(found[1]) if found else 0

    def processor(self) -> float:
        """Return the ms of processor time that the process has used; 0 where it is not known."""
        if not self.pid:
            return 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1e3 / os.sysconf("SC_CLK_TCK")


@contextmanager
def process(port: int, *command: str) -> Generator[int, None, None]:
    """Run a server until it is no longer needed; gives its pid once it listens."""
    with subprocess.Popen(command) as running:
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield running.pid
        finally:
            running.terminate()


def places(stack: ExitStack, folder: Path) -> list[Place]:
    """Start the upstream, both yardsticks and the product."""
    origin, nginx, node = free_port(), free_port(), free_port()
    stack.enter_context(process(origin, sys.executable, "-m", "benchmarks.origin", str(origin)))
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=nginx, origin=origin, token=TOKEN))
    stack.enter_context(process(nginx, "nginx", "-c", str(config), "-p", str(folder)))
    script = str(Path(__file__).with_name("proxy.js"))
    pid = stack.enter_context(process(node, "node", script, str(node), str(origin), TOKEN))
    bare, database = free_port(), str(folder / "bare.db")
    command = (sys.executable, "-m", "benchmarks.bare", str(bare), str(origin), database, TOKEN)
    plain = stack.enter_context(process(bare, *command))
    (folder / "data").mkdir()
    product = stack.enter_context(installation(folder / "data", agent_concurrency=10_000))
    seed(product, origin)
    port = int(product.base_url.rsplit(":", 1)[1])
    return [
        Place("direct", origin), Place("nginx", nginx), Place("node", node, pid=pid),
        Place(BARE, bare, key=TOKEN, pid=plain),
        Place("assentry", port, "/gateway/origin", product.agent_key, product.servers[0].pid),
    ]  # fmt: skip


def seed(product: Installation, origin: int) -> None:
    """Make the target with its credential, and the policy that allows everything there."""
    made = call(product, "/api/credentials", {
        "name": "origin", "kind": "bearer", "fields": {"token": TOKEN},
    })  # fmt: skip
    call(product, "/api/targets", {
        "name": "origin", "base_url": f"http://127.0.0.1:{origin}", "credential_id": made["id"],
        "settings": {"networks": ["127.0.0.0/8"], "request_bytes": 1 << 30},
    })  # fmt: skip
    call(product, "/api/policies", {
        "name": "origin", "priority": 1,
        "rules": [{"name": "all", "effect": "allow", "match": {"target": "origin"}}],
    })  # fmt: skip


def call(product: Installation, path: str, body: object) -> Any:
    request = urllib.request.Request(
        product.base_url + path, json.dumps(body).encode(),
        {"Authorization": f"Bearer {product.admin_key}", "Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def small(place: Place, seconds: float) -> tuple[float, float, float, float]:
    """Return requests/s, p50 and p99 in ms of a small GET, and the ms of processor time of one."""
    used, seconds = place.processor(), max(1, round(seconds))
    lines = [part for name, value in place.headers.items() for part in ("-H", f"{name}: {value}")]
    done = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", *lines,
         place.url("/small")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    if "Non-2xx" in done.stdout:
        raise RuntimeError(done.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert rate is not None
    each = (place.processor() - used) / max(1.0, float(rate[1]) * seconds)
    return float(rate[1]), _percentile(done.stdout, "50%"), _percentile(done.stdout, "99%"), each


def _percentile(text: str, name: str) -> float:
    found = re.search(rf"{name}\s+([\d.]+)(us|ms|s)", text)
    assert found is not None
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found[2]]


def opened(place: Place, path: str) -> socket.socket:
    """Open a connection and send a GET on it."""
    sock = socket.create_connection(("127.0.0.1", place.port), timeout=WAIT)
    lines = "".join(f"{name}: {value}\r\n" for name, value in place.headers.items())
    text = f"GET {place.prefix}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n"
    sock.sendall(text.encode())
    return sock


def first_byte(place: Place) -> float:
    """Return the ms until the first event of a stream is here."""
    started, data = time.perf_counter(), b""
    with opened(place, "/events") as sock:
        while b"data: " not in data:
            data += sock.recv(65_536)
        return (time.perf_counter() - started) * 1e3


def down(place: Place) -> float:
    """Return the MB/s of a large answer."""
    started, size, buffer = time.perf_counter(), 0, bytearray(1 << 20)
    with opened(place, "/large") as sock:
        while size < LARGE:
            count = sock.recv_into(buffer)
            if not count:
                message = f"{place.name}: the answer broke off at {size}"
                raise RuntimeError(message)
            size += count
    return LARGE / 1e6 / (time.perf_counter() - started)


def up(place: Place) -> float:
    """Return the MB/s of a large body."""
    piece, started = bytes(1 << 20), time.perf_counter()
    with socket.create_connection(("127.0.0.1", place.port)) as sock:
        lines = "".join(f"{name}: {value}\r\n" for name, value in place.headers.items())
        sock.sendall(
            f"POST {place.prefix}/sink HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}"
            f"Content-Length: {LARGE}\r\n\r\n".encode()
        )
        for _ in range(LARGE // len(piece)):
            sock.sendall(piece)
        answer = sock.recv(65_536)
    if b" 200 " not in answer[:20]:
        raise RuntimeError(answer.decode())
    return LARGE / 1e6 / (time.perf_counter() - started)


def streams(place: Place, count: int) -> float:
    """Return the KiB that each of many open event streams takes; each has had an event."""
    before = place.memory()
    with ExitStack() as stack:
        held = [stack.enter_context(opened(place, "/events")) for _ in range(count)]
        for sock in held:
            data = b""
            while b"data: " not in data:
                more = sock.recv(65_536)
                if not more:
                    message = f"{place.name}: a stream ended: {data!r}"
                    raise RuntimeError(message)
                data += more
        return (place.memory() - before) / count


def show_small(found: list[Place], seconds: float, rounds: int) -> None:
    heads = ("req/s", "p50 ms", "p99 ms", "of node", "cpu ms")
    print(f"{'small GET at 16':<24} {' '.join(f'{head:>8}' for head in heads)}")
    results = {place.name: [small(place, seconds) for _ in range(1)] for place in found}
    for _ in range(rounds - 1):
        for place in found:
            results[place.name].append(small(place, seconds))
    node = statistics.median(rate for rate, *_ in results["node"])
    for place in found:
        rate, middle, tail, _ = (
            statistics.median(part) for part in zip(*results[place.name], strict=True)
        )
        least = min(each for *_, each in results[place.name])
        figures = (middle, tail, rate / node, least)
        print(f"{place.name:<24} {rate:>8.0f} {' '.join(f'{one:>8.2f}' for one in figures)}")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, default=1000)
    options = parser.parse_args(argv)
    allow_files()
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        print(f"install {', '.join(missing)} (Debian: apt-get install nginx wrk nodejs)")
        return 1
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        found = places(stack, Path(name))
        show_small(found, options.seconds, options.rounds)
        found = [place for place in found if place.name != BARE]
        product = found[-1]
        for place in found:
            times = sorted(first_byte(place) for _ in range(21))
            print(f"first event, {place.name}: best {times[0]:.2f} ms, p50 {times[10]:.2f} ms")
        before = product.memory()
        for what, measure in (("200 MB down", down), ("200 MB up", up)):
            for place in found:
                rates = [measure(place) for _ in range(options.rounds)]
                print(f"{what}, {place.name}: {statistics.median(rates):.0f} MB/s")
        grown = product.memory("VmHWM") - before
        print(f"memory, at most more than before both: {grown / 1024:.1f} MiB")
        print(f"{options.streams} streams: {streams(product, options.streams):.1f} KiB each")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
