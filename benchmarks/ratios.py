"""The API's hot paths as parts of the machine's own floor, by turns within one run.

    python -m benchmarks.ratios [--rounds 12] [--seconds 1] [--connections 16] [--database URL]
                                [--only create,decide]

The speed of a shared machine changes within seconds, by a factor of two. So each round loads the
bare Starlette route and each hot path for a second each, one right after the other; of all rounds
the medians are printed, of the rates and of the ratios within a round, with the quartiles.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.doors import Bench, asked, bare_server, drive, pending, seed_policies
from tests.support.server import installation

PEND = 4000
"""Pending requests that a round's decisions may use up."""

Load = Callable[[], Any]


def paths(bench: Bench, connections: int) -> dict[str, tuple[str, Load]]:
    """Return of each hot path its floor, and what loads it for one turn."""
    agent, admin = bench.product.agent_key, bench.product.admin_key
    steps = count()
    one = bench.call("POST", "/api/requests", agent, asked("read_file"))["id"]

    def create() -> Any:
        message = bench.message("POST", "/api/requests", agent, asked("read_file"))
        return bench.load([message], connections)

    def pend() -> Any:
        return bench.load(waiting(bench, steps), connections)

    def decide() -> Any:
        found = pending(bench, PEND)
        messages = (
            bench.message("POST", f"/api/requests/{name}/decide", admin,
                          {"decision": "approve", "digest": digest})
            for name, digest in found
        )  # fmt: skip
        return bench.load(messages, connections, once=True)

    def read() -> Any:
        return bench.load([bench.message("GET", f"/api/requests/{one}", agent)], connections)

    def page() -> Any:
        message = bench.message("GET", "/api/requests?limit=50", admin)
        return bench.load([message], connections)

    return {
        "create, auto-approved": ("POST", create), "create, pending": ("POST", pend),
        "decide": ("POST", decide), "read one": ("GET", read), "page of 50": ("GET", page),
    }  # fmt: skip


def waiting(bench: Bench, steps: Iterator[int]) -> Iterable[str]:
    """Yield requests that wait for a person; identical ones would be joined."""
    agent = bench.product.agent_key
    for _ in range(PEND):
        yield bench.message("POST", "/api/requests", agent, asked("send_mail", next(steps)))


def floors(
    server: tuple[int, int], folder: Path, connections: int, seconds: float
) -> dict[str, Load]:
    """Return what loads the bare routes for one turn."""
    texts = {
        "GET": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST": "POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\n" + "x" * 300,
    }
    return {
        name: lambda text=text: drive(server, folder, [text], connections, seconds)
        for name, text in texts.items()
    }


def measure(
    bench: Bench, server: tuple[int, int], connections: int, rounds: int, only: str
) -> dict[str, list[tuple[float, float, float]]]:
    """Return rate, p50 in milliseconds and ratio to the floor, of each path and round."""
    seen: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    bare = floors(server, bench.folder, connections, bench.seconds)
    wanted = tuple(only.split(","))
    loads = {name: on for name, on in paths(bench, connections).items() if name.startswith(wanted)}
    if "decide" in loads and "create, pending" not in loads:
        steps = count(1_000_000)
        bench.load(waiting(bench, steps), 64, once=True)
    for _ in range(rounds):
        for name, (kind, load) in loads.items():
            floor, got = bare[kind](), load()
            assert len(got["statuses"]) == 1, got["statuses"]
            seen[f"floor: bare {kind}"].append((floor["rate"], floor["p50"], 1.0))
            seen[name].append((got["rate"], got["p50"], got["rate"] / floor["rate"]))
    return seen


def show(seen: dict[str, list[tuple[float, float, float]]]) -> None:
    """Print medians and quartiles."""
    print(f"{'what':<24} {'req/s':>8} {'p50 ms':>8} {'ratio':>7}   quartiles")
    for name, turns in seen.items():
        rates, middles, ratios = zip(*turns, strict=True)
        low, _, high = quantiles(ratios, n=4)
        line = f"{name:<24} {median(rates):>8.0f} {median(middles):>8.2f} {median(ratios):>7.3f}"
        print(f"{line}   {low:.3f} to {high:.3f}")


def main(argv: list[str]) -> int:
    """Run the rounds and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--database", default="")
    parser.add_argument("--only", default="create,decide,read,page", help="how their names begin")
    options = parser.parse_args(argv)
    settings = {"database_url": options.database} if options.database else {}
    with (
        tempfile.TemporaryDirectory() as name,
        bare_server() as server,
        installation(Path(name) / "data", **settings) as product,
    ):
        bench = Bench(product, Path(name), options.seconds, (options.connections,))
        bench.call("PATCH", f"/api/agents/{product.agent_id}", product.admin_key, {"open_limit": 0})
        seed_policies(bench)
        show(measure(bench, server, options.connections, options.rounds, options.only))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
