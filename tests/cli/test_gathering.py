"""Head and body of an answer leave in one write, and nothing is kept beyond a turn of the loop."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from app.cli.gathering import LARGE, Gathering


class Wire(asyncio.Transport):
    """Keeps what is written, piece by piece."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.pieces: list[bytes] = []

    def write(self, data: Any) -> None:
        self.pieces.append(bytes(data))

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.pieces.append(b"".join(list_of_data))

    def close(self) -> None:
        self.pieces.append(b"closed")


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.mark.requirement("OPS-1")
async def test_head_and_body_leave_together(wire: Wire) -> None:
    kept = Gathering(wire, asyncio.get_running_loop())
    kept.write(b"head")
    kept.write(b"body")
    assert wire.pieces == [b"headbody"]


@pytest.mark.requirement("OPS-1")
async def test_a_head_alone_leaves_at_the_next_turn(wire: Wire) -> None:
    kept = Gathering(wire, asyncio.get_running_loop())
    kept.write(b"head")
    await asyncio.sleep(0)
    assert wire.pieces == [b"head"]


@pytest.mark.requirement("OPS-1")
async def test_what_is_kept_leaves_before_the_end(wire: Wire) -> None:
    kept = Gathering(wire, asyncio.get_running_loop())
    kept.write(b"head")
    kept.close()
    await asyncio.sleep(0)
    assert wire.pieces == [b"head", b"closed"]
    assert kept.get_extra_info("peername") == ("127.0.0.1", 1)


@pytest.mark.requirement("OPS-1", "T14")
async def test_lines_go_into_the_next_head_alone(wire: Wire) -> None:
    kept = Gathering(wire, asyncio.get_running_loop())
    kept.put(b"x-frame-options: DENY\r\n")
    kept.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    kept.flush()
    kept.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n")
    kept.write(b"body")
    kept.write(b"HTTP/1.1 is only content here\r\n")
    kept.flush()
    assert wire.pieces == [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nx-frame-options: DENY\r\n\r\nbody",
        b"HTTP/1.1 is only content here\r\n",
    ]


@pytest.mark.requirement("OPS-1", "GW-1")
async def test_what_is_large_leaves_at_once_after_what_is_kept(wire: Wire) -> None:
    kept = Gathering(wire, asyncio.get_running_loop())
    large = b"x" * LARGE
    kept.write(large)
    assert wire.pieces == [large]
    kept.write(b"head")
    kept.writelines((b"1\r\n", b"y", b"\r\n"))
    kept.writelines((b"1\r\n", b"z", b"\r\n"))
    assert wire.pieces == [large, b"head1\r\ny\r\n", b"1\r\nz\r\n"]
    await asyncio.sleep(0)
    assert len(wire.pieces) == 3
