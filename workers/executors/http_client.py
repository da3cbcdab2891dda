"""The one HTTP client of the executors (GW-2, EXE-2).

HTTP/1.1, one exchange at a time on a connection. A call is written once: it is never tried again
after its first byte, redirects are answers like others, no proxy of the environment is asked, and
nothing is added to a call but its host and length.
"""

import ssl
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from workers.executors.deadline import Deadline
from workers.executors.flight import Flight
from workers.executors.http_call import Answer, Call, Mark
from workers.executors.identity import NewContext
from workers.executors.incoming import Incoming
from workers.executors.opening import SWITCHING, is_opened
from workers.executors.places import Place, place_of
from workers.executors.pool import KEEPALIVE_SECONDS, Pool
from workers.executors.reading import Malformed, Reading
from workers.executors.resolving import Lookup, system_lookup
from workers.executors.sending import Lines, body_leaving, head_of, is_small, lines_of
from workers.executors.standing import QUICK_SECONDS, Standing
from workers.executors.wire import Wire

_WARM_SECONDS: Final = KEEPALIVE_SECONDS - 1
_CONNECTIONS_TRIED: Final = 3

T = TypeVar("T")
Take = Callable[[Incoming], Awaitable[T]]
"""Makes something of an answer whose head is there."""


def _nobody(_hang_up: Callable[[], None]) -> None:
    """Let nobody end the exchange."""


class HttpClient:
    """Sends calls; one per process, closed at its end."""

    def __init__(
        self,
        lookup: Lookup = system_lookup,
        ssl_context: ssl.SSLContext | None = None,
        new_context: NewContext = ssl.create_default_context,
    ) -> None:
        """Keep how names are resolved and whom TLS trusts (the system's store by default).

        :param new_context: makes the contexts in which a client certificate is shown.
        """
        self._pool = Pool(lookup, ssl_context, new_context)
        self._standing = Standing(_WARM_SECONDS)

    async def exchange(self, call: Call, mark: Mark) -> Answer:
        """Send a call and collect its answer, as :meth:`send` does."""
        return await self.send(call, mark, Incoming.collect)

    async def send(
        self,
        call: Call,
        mark: Mark,
        take: Take[T],
        ready: "Callable[[Callable[[], None]], None]" = _nobody,
    ) -> T:
        """Send a call and return what is made of its answer.

        :param mark: awaited once, after the connection stands and before a byte leaves; the
            total limit does not run meanwhile. What it raises is raised here.
        :param take: handed the answer when its head is there, under the total limit unless it
            extends that.
        :param ready: handed what ends the exchange at once, for a caller that is gone.
        :raises NotStarted: when no byte of the request left.
        :raises Ambiguous: when bytes left and no complete answer came.
        """
        flight = Flight(mark)
        ready(flight.hang_up)
        try:
            with Deadline(call.total_seconds) as flight.deadline:
                return await self._run(call, flight, take)
        except Exception as error:  # noqa: BLE001 - the promise holds for every error
            if not flight.left:
                self._standing.forget(call)
            raise flight.judge(error) from None
        finally:
            flight.deadline = None  # it is over: nobody can hang up any more

    def is_warm(self, base_url: str, networks: tuple[str, ...]) -> bool:
        """Whether a connection to this address still stands, or was made at once lately.

        May be asked on another thread; it looks at the clock alone.
        """
        return self._standing.has(base_url, networks)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def _run(self, call: Call, flight: Flight, take: Take[T]) -> T:
        place, lines = place_of(call), lines_of(call)
        head = head_of(call, lines)
        wire = await self._take_off(call, flight, place)
        wire.begin(Reading(bodiless=call.method == "HEAD", upgrade=call.upgrade))
        try:
            if is_small(call):
                wire.write(head + call.body)
                taken = await _answered(call, lines, wire, flight, take)
            else:
                wire.write(head)
                async with body_leaving(call, wire):
                    taken = await _answered(call, lines, wire, flight, take)
        finally:
            self._pool.give(place, wire)
        self._standing.note(call)
        return taken

    async def _take_off(self, call: Call, flight: Flight, place: Place) -> Wire:
        """Return a connection on which the call leaves now."""

        def ready(seconds: float) -> None:
            if seconds < QUICK_SECONDS:
                self._standing.note(call)

        for _ in range(_CONNECTIONS_TRIED):
            wire = self._pool.take(place) or await self._connect(call, place)
            try:
                if await flight.take_off(wire, ready):
                    return wire
            except BaseException:
                self._pool.give(place, wire)
                raise
            self._pool.give(place, wire)
        raise ConnectionResetError

    async def _connect(self, call: Call, place: Place) -> Wire:
        with Deadline(call.connect_seconds):
            return await self._pool.connect(place)


async def _answered(call: Call, lines: Lines, wire: Wire, flight: Flight, take: Take[T]) -> T:
    """Return what is made of the answer."""
    head = await wire.head()
    if head.status == SWITCHING and not is_opened(lines, head):
        raise Malformed
    return await take(Incoming(wire, head, call, flight))
