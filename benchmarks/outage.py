"""Creating requests while channels hang or fail, beside the same with all of them well.

    python -m benchmarks.outage [--rate 20] [--seconds 10] [--rounds 3] [--database URL]

Each request goes to Slack, Discord, mail and a webhook, all played on loopback, and there to one of
so many rooms that none is told more than it may be. In one run, in turn: all are well; all take
calls and never answer; all answer at once that they fail. Between the turns everything that waits
is delivered. Latencies are from the time at which a request was due.
"""

import argparse
import asyncio
import json
import math
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import create_engine, text

from app.store.database import Database
from tests.support.api import Api
from tests.support.discord_faults import Fault as DiscordFault
from tests.support.discord_server import Discord
from tests.support.receiver import Receiver
from tests.support.server import Installation, install
from tests.support.slack_faults import Fault as SlackFault
from tests.support.slack_server import Slack
from tests.support.smtp import MailSink

CONNECTIONS = 16
RULES = 50
"""Of one policy."""

PER_MINUTE = 15
"""Most that one room is told; from twenty on, messages are gathered."""

WEATHERS = ("well", "hanging", "failing")
NUMBERS = count()


@dataclass
class Sink(MailSink):
    """A mail server that can also fall silent in the middle."""

    speaks: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_MAIL(  # noqa: N802 - the interface's own name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        await self.speaks.wait()
        return await super().handle_MAIL(server, session, envelope, address, options)


@dataclass
class Vendors:
    """Everything that requests are told to."""

    slack: Slack
    discord: Discord
    sink: Sink
    receiver: Receiver
    faults: list[SlackFault | DiscordFault] = field(default_factory=list[SlackFault | DiscordFault])

    def become(self, weather: str) -> None:
        """Be well, hang or fail, all of them."""
        while self.faults:
            self.faults.pop().lift()
        self.receiver.release()
        self.sink.speaks.set()
        bad = weather == "failing"
        self.sink.sender = "451 not now" if bad else "250 OK"
        self.receiver.answer = lambda _number: (500 if bad else 200, {})
        if weather == "hanging":
            self.sink.speaks.clear()
            self.receiver.hangs = True
            self.receiver._free.clear()  # noqa: SLF001 - it hangs once in tests, here again
        if weather != "well":
            what: dict[str, Any] = {"status": 500} if bad else {"hang": True}
            self.faults = [
                self.slack.fault("*", count=None, **what),
                self.discord.fault("*", left=None, **what),
            ]

    def settings(self) -> dict[str, Any]:
        """Return the settings that lead a product to them."""
        slack, discord = self.slack, self.discord
        return {
            "slack_bot_token": slack.world.acme.bot_token, "slack_api_url": slack.api_url,
            "slack_signing_secret": slack.world.app.signing_secret,
            "slack_app_id": slack.world.app.id,
            "discord_token": discord.world.token, "discord_api_url": discord.api_url,
            "discord_guilds": discord.world.acme.id, "discord_mode": "http",
            "discord_application_id": discord.world.bot.id,
            "discord_public_key": discord.public_key,
            "email_host": "127.0.0.1", "email_port": self.sink.port, "email_security": "none",
            "email_sender": "gate@example.org",
        }  # fmt: skip


@dataclass
class Bench:
    """A running product with its vendors."""

    product: Installation
    vendors: Vendors
    folder: Path
    database: str
    rooms: int = 0

    async def prepare(self, rooms: int) -> None:
        """Make the rooms, subscribe, and let the agent ask without limit."""
        self.rooms = rooms
        admin = Api(self.product.base_url, self.product.admin_key)
        await admin.made(
            "/api/webhooks", name="hook", url=self.vendors.receiver.url, networks=["127.0.0.0/8"],
            filters={"events": ["request.created"]},
        )  # fmt: skip
        await admin.call("PATCH", f"/api/agents/{self.product.agent_id}", open_limit=0)
        for first in range(0, rooms, RULES):
            rules = [self.room(number) for number in range(first, min(first + RULES, rooms))]
            await admin.made("/api/policies", name=f"rooms from {first}", rules=rules)
        await Api.close_all()

    def room(self, number: int) -> dict[str, Any]:
        """Make a room in each channel; return the rule that tells it."""
        slack, discord = self.vendors.slack.world, self.vendors.discord.world
        places = {
            "slack": slack.add_channel(slack.acme, f"room-{number}", slack.acme.bot).id,
            "discord": f"channel:{discord.add_channel(discord.acme, f'room-{number}').id}",
            "email": f"room{number}@example.org",
        }
        notify = [{"channel": name, "to": [place]} for name, place in places.items()]
        return {"name": f"room {number}", "effect": "review", "match": {"action": f"in_{number}"},
                "route": {"notify": notify}}  # fmt: skip

    def messages(self, most: int) -> Iterator[str]:
        """Yield different requests for one room after the other."""
        head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {self.product.agent_key}\r\n"
        for number in islice(NUMBERS, most):
            asked = {"action": f"in_{number % self.rooms}", "params": {"n": number}}
            body = json.dumps(asked)
            size = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            yield f"POST /api/requests HTTP/1.1\r\n{head}{size}{body}"

    async def load(self, rate: float, seconds: float) -> dict[str, Any]:
        """Ask at a rate, from another process; return what it measured."""
        file, port = self.folder / "requests.jsonl", self.product.base_url.rsplit(":", 1)[1]
        lines = [json.dumps(message) for message in self.messages(int(rate * seconds * 1.2))]
        file.write_text("\n".join(lines))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.load", port, str(file), "--once", "--rate", str(rate),
            "--seconds", str(seconds), "--connections", str(CONNECTIONS),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        found: dict[str, Any] = json.loads(out)
        return found

    def waiting(self) -> dict[str, int]:
        """Return how many deliveries of each channel, and how many jobs, wait."""
        engine = create_engine(Database(self.database).url)
        with engine.connect() as connection:
            due = "SELECT channel, count(*) FROM deliveries WHERE state = 'due' GROUP BY channel"
            found = {str(name): int(size) for name, size in connection.execute(text(due))}
            jobs = connection.execute(text("SELECT count(*) FROM jobs")).scalar_one()
        engine.dispose()
        return found | ({"jobs": jobs} if jobs else {})

    async def drained(self) -> None:
        """Wait until nothing waits any more."""
        async with asyncio.timeout(400):
            while await asyncio.to_thread(self.waiting):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.5)


@asynccontextmanager
async def bench(folder: Path, database: str, rooms: int) -> AsyncGenerator[Bench, None]:
    """Run vendors and product."""
    async with AsyncExitStack() as stack:
        vendors = Vendors(
            await stack.enter_async_context(Slack()), await stack.enter_async_context(Discord()),
            await stack.enter_async_context(Sink()), await stack.enter_async_context(Receiver()),
        )  # fmt: skip
        vendors.become("well")
        url = database or f"sqlite:///{folder / 'bench.db'}"
        product = install(folder / "data", database_url=url, **vendors.settings())
        await asyncio.to_thread(product.up)
        made = Bench(product, vendors, folder, url)
        try:
            await made.prepare(rooms)
            yield made
        finally:
            vendors.become("well")
            await asyncio.to_thread(product.stop)


async def measure(made: Bench, options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Measure all weathers in turn, and print each round."""
    found: dict[str, list[dict[str, Any]]] = {weather: [] for weather in WEATHERS}
    await made.load(options.rate, 2)
    for _ in range(options.rounds):
        for weather in WEATHERS:
            await made.drained()
            made.vendors.become(weather)
            result = await made.load(options.rate, options.seconds)
            waiting = await asyncio.to_thread(made.waiting)
            print(
                f"{weather:<9} {result['rate']:>7.1f} {result['p50']:>8.2f} {result['p99']:>8.2f}"
                f"  {result['statuses']}  waiting: {waiting}", flush=True,
            )  # fmt: skip
            found[weather].append(result)
            made.vendors.become("well")
    return found


def show(found: dict[str, list[dict[str, Any]]]) -> None:
    """Print the medians, and how many times worse bad weather is."""
    good = median(result["p99"] for result in found["well"])
    for weather, results in found.items():
        p50, p99 = (median(result[name] for result in results) for name in ("p50", "p99"))
        print(f"median {weather:<9} p50 {p50:.2f} ms  p99 {p99:.2f} ms  ratio {p99 / good:.2f}")


async def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        rooms = math.ceil(options.rate * 60 / PER_MINUTE)
        async with bench(Path(name), options.database, rooms) as made:
            print(f"{'channels':<9} {'req/s':>7} {'p50 ms':>8} {'p99 ms':>8}")
            show(await measure(made, options))


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", default="")
    asyncio.run(run(parser.parse_args(argv)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
