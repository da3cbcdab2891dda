"""``true`` over SSH through the whole pipeline, beside ``ssh`` with ControlMaster in the same run.

    python -m benchmarks.ssh [--calls 100] [--rounds 3] [--bare]

The product authenticates, judges by policy and guard, opens the key, runs the command over a
connection that it keeps, and writes a durable record (SQLite, synchronous=FULL); ``ssh`` does none
of that but the running. Everything shares the machine's cores. With ``--bare`` the command is sent
without the wrapper that ends it on the host when its time is over: ``timeout`` and a second shell
are two programs more to start there. Needs OpenSSH, server and client.
"""

import argparse
import asyncio
import http.client
import json
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.gateway import call
from tests.support.server import Installation, installation
from tests.support.sshd import Sshd, has_sshd, running_sshd

AT_ONCE = 16
Run = Callable[[], None]
missed: list[int] = []
"""Calls that were refused because the machine was too busy; they are made again."""


def seed(product: Installation, server: Sshd, *, wrap: bool = True) -> None:
    """Make the host with its key, and the policy that lets everything through."""
    made = call(product, "/api/credentials", {
        "name": "box", "kind": "ssh_key", "fields": {"private_key": server.key},
    })  # fmt: skip
    ssh = {
        "host": "127.0.0.1", "port": server.port, "user": server.user,
        "host_keys": [server.host_key], "wrap": wrap,
    }  # fmt: skip
    call(product, "/api/targets", {
        "name": "box", "credential_id": made["id"],
        "settings": {"networks": ["127.0.0.0/8"], "ssh": ssh},
    })  # fmt: skip
    rule = {"name": "all", "effect": "allow", "match": {"target": "box"}}
    call(product, "/api/policies", {"name": "box", "priority": 1, "rules": [rule]})


def through(product: Installation) -> Run:
    """Return what runs ``true`` through the product, over one connection to it."""
    port = int(product.base_url.rsplit(":", 1)[1])
    line = http.client.HTTPConnection("127.0.0.1", port)
    body = json.dumps({"command": "true"})
    headers = {"Authorization": f"Bearer {product.agent_key}", "Content-Type": "application/json"}

    def run() -> None:
        if line.sock is not None and select.select([line.sock], [], [], 0)[0]:
            line.close()  # the server closed it while others were measured
        line.request("POST", "/ssh/box/exec", body, headers)
        answer = line.getresponse()
        said = json.loads(answer.read())
        if said.get("request_status") == "expired":
            missed.append(1)  # the machine was too busy to begin within the grant's second
            run()
        elif answer.status != 200 or said["exit_code"]:
            raise SystemExit(said)

    return run


def master(server: Sshd, folder: Path) -> Run:
    """Return what runs ``true`` by the client, over a connection that its master keeps."""
    hosts = folder / "known_hosts"
    hosts.write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    command = [
        "ssh", "-F", "none", "-i", str(server.home / "client_key"), "-p", str(server.port),
        "-o", f"UserKnownHostsFile={hosts}", "-o", "ControlMaster=auto",
        "-o", f"ControlPath={folder}/cm", "-o", "ControlPersist=60", "-o", "BatchMode=yes",
        "-o", "IdentitiesOnly=yes", f"{server.user}@127.0.0.1", "true",
    ]  # fmt: skip

    def run() -> None:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return run


def one_at_a_time(run: Run, calls: int) -> float:
    """Return the median in ms."""
    taken: list[float] = []
    for _ in range(calls):
        began = time.perf_counter()
        run()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def at_once(runs: list[Run], calls: int) -> float:
    """Return the calls per second of so many callers."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(runs)) as pool:
        done = [pool.submit(lambda run=run: [run() for _ in range(calls)]) for run in runs]
        for one in done:
            one.result()
    return len(runs) * calls / (time.perf_counter() - began)


def measure(product: Installation, server: Sshd, folder: Path, options: Any) -> None:
    """Take turns, and print each round and the medians."""
    ours, theirs = through(product), master(server, folder)
    theirs()
    many = [through(product) for _ in range(AT_ONCE)]
    for run in (ours, *many):
        run()
    rounds: list[tuple[float, float, float, float]] = []
    for _ in range(options.rounds):
        p50 = one_at_a_time(ours, options.calls), one_at_a_time(theirs, options.calls)
        few = max(5, options.calls // 4)
        rate = at_once(many, few), at_once([theirs] * AT_ONCE, few)
        rounds.append((*p50, *rate))
        print(
            f"one at a time: assentry p50 {p50[0]:.1f} ms, ControlMaster {p50[1]:.1f} ms; "
            f"{AT_ONCE} at a time: {rate[0]:.0f}/s and {rate[1]:.0f}/s"
        )
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    print(
        f"median: p50 {medians[0] / medians[1]:.2f} of ControlMaster's; "
        f"{medians[2] / medians[3]:.1f}x its rate; made again: {len(missed)}"
    )


async def _run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with running_sshd(folder / "sshd", sessions=200) as server:
            (folder / "data").mkdir()
            with installation(folder / "data", agent_concurrency=10_000) as product:
                seed(product, server, wrap=not options.bare)
                await asyncio.to_thread(measure, product, server, folder, options)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bare", action="store_true", help="send commands without the wrapper")
    options = parser.parse_args(argv)
    if not has_sshd() or shutil.which("ssh") is None:
        print("missing: install openssh-server and openssh-client", file=sys.stderr)
        return 1
    asyncio.run(_run(options))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
