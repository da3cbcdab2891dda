"""What this machine can do at all, in the same run: a bare route and a bare commit loop."""

import sqlite3
import tempfile
import time
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BODY = b'{"id":"req_0","status":"approved","filler":"' + b"x" * 250 + b'"}'


async def bare(_request: Request) -> Response:
    return Response(BODY, media_type="application/json")


async def bare_post(request: Request) -> Response:
    await request.body()
    return Response(BODY, media_type="application/json")


app = Starlette(
    routes=[Route("/", bare), Route("/post", bare_post, methods=["POST"])],
)


def commits(seconds: float = 1.0) -> float:
    """Return durable SQLite commits (WAL, FULL) per second, one row each."""
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "floor.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
        count, until = 0, time.perf_counter() + seconds
        started = time.perf_counter()
        while time.perf_counter() < until:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO t (body) VALUES (?)", (BODY.decode(),))
            connection.execute("COMMIT")
            count += 1
        elapsed = time.perf_counter() - started
        connection.close()
        return count / elapsed


if __name__ == "__main__":
    import sys

    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
