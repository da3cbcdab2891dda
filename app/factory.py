"""The composition root: from settings to services. Web, workers, CLI and tests all use it."""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from app.clock import Ids, SystemClock
from app.core.errors import AssentryError
from app.core.host_keys import ShownKey
from app.core.jobs import JobKind
from app.core.ports import Announcer, Channel, Executor, Inbound, Parcel, TokenEndpoint
from app.core.tokens import TokenCall, TokenSet
from app.services.access import CACHE_SECONDS, Access
from app.services.accounts import Accounts
from app.services.agents import Agents
from app.services.announcements import Announcements
from app.services.audit import Audit
from app.services.backlog import Backlog
from app.services.binding import Binding, Known
from app.services.bodies import Bodies
from app.services.breakers import Breakers
from app.services.bundle import Services
from app.services.bundles import Bundles
from app.services.cards import Cards
from app.services.connections import Connections
from app.services.couriers import Couriers
from app.services.crowding import Crowd
from app.services.decisions import Decisions
from app.services.desk import Desk
from app.services.discovery import Discovery
from app.services.execution import Execution
from app.services.feed import Feed, Looks
from app.services.flights import Flights
from app.services.host_keys import HostKeys
from app.services.inbox import Inbox
from app.services.inline import Inline
from app.services.intake import Intake
from app.services.leases import Leases
from app.services.limits import Limits
from app.services.links import Links
from app.services.markers import Markers
from app.services.notices import Defaults, Notices
from app.services.once import Once
from app.services.people import People
from app.services.policies import Policies
from app.services.presets import Presets
from app.services.profiles import opened
from app.services.rates import Rates
from app.services.reach import Reach
from app.services.requests import Requests
from app.services.sealing import Sealer, derived, load_master_keys
from app.services.spooling import Room
from app.services.ssh import Ssh
from app.services.sweeps import Sweeps
from app.services.targets import Targets
from app.services.tokens import Tokens
from app.services.vault import Vault
from app.services.webhooks import Webhooks
from app.settings import Settings
from app.store.engine import Store
from integrations.links.signer import Signer
from integrations.registry import SetUp, enabled
from integrations.services.loader import presets
from workers.executors import EXECUTORS

log = structlog.get_logger()


@asynccontextmanager
async def services(
    settings: Settings,
    *,
    clock: SystemClock | None = None,
    parts: Sequence[SetUp] | None = None,
) -> AsyncGenerator[Services, None]:
    """Open the store, wire the services, and close everything at the end.

    :param clock: replaces the database's clock, for tests.
    :param parts: the channels instead of those that the environment sets up.
    """
    store = Store(settings.database, clock=clock)
    await store.open()
    executors = _Executors()
    channels = Channels.load(enabled() if parts is None else parts, store.clock)
    _want(store, channels)
    try:
        wired = wire(settings, store, executors, channels)
        await wired.policies.refresh()
        await wired.breakers.refresh()
        await wired.announcements.look()
        async with asyncio.TaskGroup() as group, wired.vault.tokens.flights.opened():
            background = [
                group.create_task(_watch(wired)),
                group.create_task(wired.execution.leases.run()),
            ]
            yield wired
            for task in background:
                task.cancel()
    finally:
        for part in (*executors.values(), *channels.made.values(), channels.announcer):
            await part.close()
        await store.close()


async def _watch(wired: Services) -> None:
    """Let caches follow every change, also those of other processes."""
    with wired.store.signals.following(frozenset({"request", "job"})) as queue:
        while True:
            try:
                async with asyncio.timeout(CACHE_SECONDS):
                    change = await queue.get()
            except TimeoutError:
                change = ("store", "")
            wired.access.forget([change])
            try:
                await wired.policies.forget(change)
                await wired.breakers.forget(change)
                await wired.announcements.forget(change)
            except (AssentryError, OSError) as error:
                log.warning("caches_not_refreshed", error=type(error).__name__)


class _Executors(dict[str, Executor[Any]]):
    """The executors by kind; each with its library is loaded when it is first needed."""

    def __missing__(self, kind: str) -> Executor[Any]:
        """Load one.

        :raises KeyError: there is none of this kind.
        """
        for registered in EXECUTORS:
            if registered.kind == kind:
                executor = self[kind] = registered.load()
                return executor
        raise KeyError(kind)


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels that are set up, and what makes their ways in."""

    made: Mapping[str, Channel]
    announcer: Announcer
    inbound: Callable[[Desk], tuple[Inbound, ...]]

    @classmethod
    def load(cls, found: Sequence[SetUp], clock: SystemClock) -> "Channels":
        """Make the channels that are set up."""
        made = {item.name: item.channel(part) for item, part in found}

        def inbound(desk: Desk) -> tuple[Inbound, ...]:
            return tuple(
                item.inbound(part, made[item.name], desk)
                for item, part in found
                if item.inbound is not None
            )

        return cls(made, _Announcer(clock), inbound)


class _Announcer:
    """The announcer; its HTTP library is loaded when something is first sent."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._made: Announcer | None = None

    async def send(self, parcel: Parcel) -> int:
        """Send a parcel once."""
        if self._made is None:
            from integrations.webhooks.sender import Sender  # noqa: PLC0415 - httpx when needed

            self._made = Sender(self._clock)
        return await self._made.send(parcel)

    async def close(self) -> None:
        """Let go of connections."""
        if self._made is not None:
            await self._made.close()


class _TokenEndpoint:
    """The token endpoints; their HTTP library is loaded when a token is first asked for."""

    def __init__(self) -> None:
        self._made: TokenEndpoint | None = None

    async def ask(self, call: TokenCall) -> TokenSet:
        """Return the tokens that a service gave."""
        return await self._loaded().ask(call)

    async def revoke(self, call: TokenCall) -> None:
        """Give a token back."""
        await self._loaded().revoke(call)

    def _loaded(self) -> TokenEndpoint:
        if self._made is None:
            from integrations.services.oauth import HttpTokens  # noqa: PLC0415 - httpx when needed

            self._made = HttpTokens()
        return self._made

    async def close(self) -> None:
        """Let go of connections."""
        if self._made is not None:
            await self._made.close()


async def _look(host: str, port: int, networks: tuple[str, ...]) -> ShownKey:
    from workers.executors.ssh.enrolling import look  # noqa: PLC0415 - asyncssh when needed

    return await look(host, port, networks)


def _tokens(store: Store, sealer: Sealer) -> Tokens:
    return Tokens(store, store.clock, sealer, _TokenEndpoint(), Flights())


def _worker_name() -> str:
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def _want(store: Store, channels: Channels) -> None:
    """Make jobs for channels only where there are some."""
    for kind in (JobKind.NOTIFY, JobKind.REFRESH, JobKind.ALARM) if channels.made else ():
        store.want(kind)


def _execution(
    settings: Settings,
    policies: Policies,
    vault: Vault,
    sealer: Sealer,
    executors: dict[str, Executor[Any]],
    breakers: Breakers,
    host_keys: HostKeys,
) -> Execution:
    store = policies.store
    return Execution(
        store, store.clock, policies, vault, sealer, settings, executors, _worker_name(),
        Leases(store, settings.lease_margin), breakers, Bodies(store, Ids(store.clock)),
        Crowd(max(1, settings.worker_concurrency // 2)), host_keys.refused,
    )  # fmt: skip


def _intake(settings: Settings, policies: Policies, breakers: Breakers) -> Intake:
    store = policies.store
    rates = Rates(store, settings, breakers)
    binding = Binding(store, rates, Known(store))
    return Intake(store, Ids(store.clock), store.clock, policies, settings, rates, binding)


def _inline(settings: Settings, intake: Intake, execution: Execution) -> Inline:
    room = Room(settings.data_dir, settings.agent_spool_bytes, settings.spool_bytes)
    return Inline(intake, execution, room)


def _alone(settings: Settings, store: Store, ids: Ids, sealer: Sealer) -> dict[str, Any]:
    """Return the services that need no other."""
    clock = store.clock
    return {
        "access": Access(store, clock, settings),
        "people": People(store, ids, clock, settings),
        "limits": Limits(store, clock),
        "once": Once(sealer, clock),
        "inbox": Inbox(store),
        "audit": Audit(store),
        "backlog": Backlog(store),
        "announcements": Announcements(store, ids, settings),
    }


def wire(
    settings: Settings, store: Store, executors: dict[str, Executor[Any]], channels: Channels
) -> Services:
    """Return the services over an open store."""
    clock, ids, keys = store.clock, Ids(store.clock), load_master_keys(settings)
    sealer, signer = Sealer(keys), Signer(derived(keys, "links"))
    cards, breakers, rules = Cards(settings), Breakers(store), opened(settings.command_rules)
    webhooks, policies = Webhooks(store, ids, clock, sealer), Policies(store, ids, clock, rules)
    decisions, forms = Decisions(store, policies), derived(keys, "link forms")[0][1]
    links = Links(store, cards, settings, signer, forms, decisions)
    notices = Notices(store, ids, Defaults(tuple(channels.made)))
    vault = Vault(store, ids, clock, sealer, _tokens(store, sealer))
    connections = Connections(store, ids, clock, sealer, vault.tokens, settings, presets)
    intake = _intake(settings, policies, breakers)
    host_keys = HostKeys(targets := Targets(store, ids, clock, policies), notices, _look)
    execution = _execution(settings, policies, vault, sealer, executors, breakers, host_keys)
    return Services(
        settings=settings,
        store=store,
        clock=clock,
        ids=ids,
        agents=Agents(store, ids, clock, notices),
        targets=targets,
        host_keys=host_keys,
        vault=vault,
        connections=connections,
        presets=Presets(store, ids, clock, targets, vault, connections, policies, presets),
        policies=policies,
        breakers=breakers,
        discovery=Discovery(store, settings, policies, breakers),
        intake=intake,
        requests=(requests := Requests(store, sealer)),
        decisions=decisions,
        execution=execution,
        inline=(inline := _inline(settings, intake, execution)),
        ssh=Ssh(inline, feed := Feed(store, Looks(store)), requests),
        markers=Markers(execution),
        bundles=Bundles(execution),
        sweeps=Sweeps(store, settings, notices),
        feed=feed,
        bodies=execution.bodies,
        cards=cards,
        notices=notices,
        couriers=Couriers(
            store, cards, links, channels.made, webhooks, channels.announcer, notices
        ),
        reach=Reach(store, tuple(channels.made)),
        webhooks=webhooks,
        accounts=Accounts(store, ids, clock, notices),
        links=links,
        desk=(desk := Desk(store, cards, settings, decisions)),
        inbounds=channels.inbound(desk),
        **_alone(settings, store, ids, sealer),
    )
