"""Connections that are kept: one login serves many commands.

A server lets about ten sessions run over a connection (MaxSessions), so we use eight; more at once
open another connection. What differs in host, port, user, host keys, way or credential is never
shared.
"""

import asyncio
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from app.core.outcome import NotStarted
from app.core.ssh_plan import SshIdentity, SshPlan
from workers.executors.resolving import Lookup, system_lookup
from workers.executors.ssh.connecting import Connected, connect

CHANNELS: Final = 8
"""Sessions over one connection at a time."""

CONNECTIONS: Final = 4
"""Connections of one kind at a time; what is more waits."""

IDLE_SECONDS: Final = 60.0

_Key: TypeAlias = tuple[Hashable, str]
"""Where and how a connection leads, and as whom."""


@dataclass(eq=False, slots=True)
class _Lane:
    """A connection with its sessions.

    :ivar users: how many use it or wait for it.
    """

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CHANNELS))
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    connected: Connected | None = None
    users: int = 0
    idle: asyncio.TimerHandle | None = None

    @property
    def stands(self) -> bool:
        """Whether it can be used, as far as is known."""
        return self.connected is not None and self.connected.alive


class Pool:
    """The connections of one process."""

    def __init__(self, lookup: Lookup = system_lookup, idle_seconds: float = IDLE_SECONDS) -> None:
        """Take how names are looked up, and how long an unused connection is kept."""
        self._lookup = lookup
        self._idle_seconds = idle_seconds
        self._lanes: dict[_Key, list[_Lane]] = {}

    def __len__(self) -> int:
        """Return how many connections there are."""
        return sum(lane.connected is not None for lanes in self._lanes.values() for lane in lanes)

    def is_warm(self, plan: SshPlan) -> bool:
        """Whether a connection to the place stands with room for one more session.

        A hint, asked on any thread; by which credential it was made does not matter to it.
        """
        place = _place_key(plan)
        return any(
            key[0] == place and lane.users < CHANNELS and lane.stands
            for key, lanes in tuple(self._lanes.items())
            for lane in tuple(lanes)
        )

    @asynccontextmanager
    async def session(self, plan: SshPlan, identity: SshIdentity) -> AsyncGenerator[Connected]:
        """Lend a connection for one session.

        :raises NotStarted: there is none to be had.
        """
        key = (_place_key(plan), identity.digest)
        lane = self._lane(key)
        lane.users += 1
        if lane.idle is not None:
            lane.idle.cancel()
            lane.idle = None
        try:
            await _place(lane, plan.connect_seconds)
            try:
                yield await self._connected(lane, plan, identity)
            finally:
                lane.slots.release()
        finally:
            lane.users -= 1
            if not lane.users:
                self._rest(key, lane)

    def _lane(self, key: _Key) -> _Lane:
        lanes = self._lanes.setdefault(key, [])
        for lane in lanes:
            if lane.users < CHANNELS:
                return lane
        if len(lanes) < CONNECTIONS:
            lanes.append(_Lane())
            return lanes[-1]
        return min(lanes, key=lambda lane: lane.users)

    async def _connected(self, lane: _Lane, plan: SshPlan, identity: SshIdentity) -> Connected:
        async with lane.lock:
            if lane.connected is None or not lane.connected.alive:
                if lane.connected is not None:
                    lane.connected.close()
                lane.connected = None
                lane.connected = await connect(plan, identity, self._lookup)
            return lane.connected

    def _rest(self, key: _Key, lane: _Lane) -> None:
        """Close a connection that nobody uses, after a while."""
        if not lane.stands:
            self._drop(key, lane)
            return
        loop = asyncio.get_running_loop()
        lane.idle = loop.call_later(self._idle_seconds, self._drop, key, lane)

    def _drop(self, key: _Key, lane: _Lane) -> None:
        if lane.users:
            return
        lanes = self._lanes.get(key, [])
        if lane in lanes:
            lanes.remove(lane)
        if not lanes:
            self._lanes.pop(key, None)
        if lane.connected is not None:
            lane.connected.close()

    async def close(self) -> None:
        """Close everything."""
        lanes = [lane for lanes in self._lanes.values() for lane in lanes]
        self._lanes.clear()
        for lane in lanes:
            if lane.idle is not None:
                lane.idle.cancel()
            if lane.connected is not None:
                lane.connected.close()
        for lane in lanes:
            if lane.connected is not None:
                await lane.connected.closed()


def _place_key(plan: SshPlan) -> Hashable:
    place = plan.place
    return (
        place.host, place.port, place.user, place.keys, place.authorities, place.jumps,
        plan.networks, plan.cidrs,
    )  # fmt: skip


async def _place(lane: _Lane, seconds: float) -> None:
    """Wait for one of the places of a connection, so long that what was looked at still holds.

    :raises NotStarted: none became free.
    """
    try:
        async with asyncio.timeout(seconds):
            await lane.slots.acquire()
    except TimeoutError as error:
        detail = "As many commands run on the host as its connections take."
        raise NotStarted("host_busy", detail) from error
