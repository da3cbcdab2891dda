"""The least that a gateway in Python does for a small call, to compare ours with.

    python -m benchmarks.bare PORT ORIGIN_PORT DATABASE KEY

Raw ASGI, the digest of one key, our HTTP client, and bare rows before and after the call, in groups
with one durable commit each (SQLite, synchronous=FULL). It checks no call, asks no policy, opens no
credential, looks for no secret, seals nothing and chains nothing.
"""

import asyncio
import hashlib
import json
import sqlite3
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

import uvicorn

from workers.executors.http_call import Call
from workers.executors.http_client import HttpClient

_TABLES: Final = """
PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
CREATE TABLE requests (id TEXT PRIMARY KEY, payload BLOB, digest TEXT, status TEXT);
CREATE INDEX by_status ON requests (status, id);
CREATE TABLE audit (seq INTEGER PRIMARY KEY, event TEXT, request TEXT, details TEXT);
CREATE INDEX by_request ON audit (request, seq);
CREATE TABLE results (request TEXT PRIMARY KEY, body BLOB);
"""
_ENTRY: Final = "INSERT INTO audit (event, request, details) VALUES (?, ?, ?)"


class Rows:
    """Writes what comes while one group commits as the next group."""

    def __init__(self, path: str) -> None:
        self.database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.database.executescript(_TABLES)
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Callable[[], None], asyncio.Future[None]]] = []
        self._busy = False
        self._jobs: SimpleQueue[list[asyncio.Future[None]]] = SimpleQueue()
        threading.Thread(target=self._commit, daemon=True).start()

    async def write(self, work: Callable[[], None]) -> None:
        """Return when what was written is durable."""
        done = self._loop.create_future()
        self._waiting.append((work, done))
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._run)
        await done

    def _run(self) -> None:
        units, self._waiting = self._waiting, []
        self.database.execute("BEGIN IMMEDIATE")
        for work, _ in units:
            work()
        self._jobs.put([done for _, done in units])

    def _commit(self) -> None:
        while True:
            group = self._jobs.get()
            self.database.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._tell, group)

    def _tell(self, group: list[asyncio.Future[None]]) -> None:
        for done in group:
            done.set_result(None)
        self._busy = bool(self._waiting)
        if self._waiting:
            self._loop.call_soon(self._run)


class Bare:
    """Carries a GET through, with a record before and after it."""

    def __init__(self, origin: int, path: str, key: str) -> None:
        self._origin = origin
        self._path = path
        self._key = hashlib.sha256(f"Bearer {key}".encode()).digest()
        self._count = 0
        self._client: HttpClient | None = None
        self._rows: Rows | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await receive()
            self._client, self._rows = HttpClient(), Rows(self._path)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert self._client is not None
        assert self._rows is not None
        said = dict(scope["headers"])[b"authorization"]
        status, body = 403, b""
        if hashlib.sha256(said).digest() == self._key:
            status, body = await self._carried(self._client, self._rows, scope["path"])
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": status, "headers": [length]})
        await send({"type": "http.response.body", "body": body})

    async def _carried(self, client: HttpClient, rows: Rows, path: str) -> tuple[int, bytes]:
        self._count += 1
        name, run = f"req_{self._count:026}", rows.database.execute
        payload = json.dumps({"method": "GET", "path": path, "target": "origin"}).encode()
        digest = hashlib.sha256(payload).hexdigest()

        def begun() -> None:
            run("INSERT INTO requests VALUES (?, ?, ?, 'executing')", (name, payload, digest))
            run(_ENTRY, ("submitted", name, digest))
            run(_ENTRY, ("claimed", name, digest))

        await rows.write(begun)
        answer = await client.exchange(self._call(path), _nothing)

        def ended() -> None:
            run("UPDATE requests SET status = 'succeeded' WHERE id = ?", (name,))
            run(_ENTRY, ("succeeded", name, digest))
            run("INSERT INTO results VALUES (?, ?)", (name, answer.body))

        await rows.write(ended)
        return answer.status, answer.body

    def _call(self, path: str) -> Call:
        return Call(
            method="GET", scheme="http", authority=f"127.0.0.1:{self._origin}", host="127.0.0.1",
            target=path, headers=(("authorization", "Bearer added"),), body=b"",
            read_bytes=100_000, connect_seconds=5, total_seconds=5, networks=("127.0.0.0/8",),
        )  # fmt: skip


async def _nothing() -> None:
    """There is no mark."""


if __name__ == "__main__":
    port, origin, path, key = sys.argv[1:]
    app = Bare(int(origin), path, key)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", access_log=False)
