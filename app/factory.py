"""The composition root: from settings to services. Web, workers, CLI and tests all use it."""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog

from app.clock import Ids, SystemClock
from app.core.errors import AssentryError
from app.core.ports import Executor
from app.services.access import CACHE_SECONDS, Access
from app.services.agents import Agents
from app.services.audit import Audit
from app.services.bundle import Services
from app.services.decisions import Decisions
from app.services.execution import Execution
from app.services.feed import Feed
from app.services.intake import Intake
from app.services.limits import Limits
from app.services.people import People
from app.services.policies import Policies
from app.services.requests import Requests
from app.services.sealing import Sealer, load_master_keys
from app.services.sweeps import Sweeps
from app.services.targets import Targets
from app.services.vault import Vault
from app.settings import Settings
from app.store.engine import Store
from workers.executors import EXECUTORS

log = structlog.get_logger()


@asynccontextmanager
async def services(
    settings: Settings, *, clock: SystemClock | None = None
) -> AsyncGenerator[Services, None]:
    """Open the store, wire the services, and close everything at the end.

    :param clock: replaces the database's clock, for tests.
    """
    store = Store(settings.database, clock=clock)
    await store.open()
    executors = _Executors()
    try:
        wired = wire(settings, store, executors)
        await wired.policies.refresh()
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(_watch(wired))
            yield wired
            watcher.cancel()
    finally:
        for executor in executors.values():
            await executor.close()
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
            except (AssentryError, OSError) as error:
                log.warning("policies_not_refreshed", error=type(error).__name__)


class _Executors(dict[str, Executor]):
    """The executors by kind; each with its library is loaded when it is first needed."""

    def __missing__(self, kind: str) -> Executor:
        """Load one.

        :raises KeyError: there is none of this kind.
        """
        for registered in EXECUTORS:
            if registered.kind == kind:
                executor = self[kind] = registered.load()
                return executor
        raise KeyError(kind)


def wire(settings: Settings, store: Store, executors: dict[str, Executor]) -> Services:
    """Return the services over an open store."""
    clock = store.clock
    ids = Ids(clock)
    sealer = Sealer(load_master_keys(settings))
    policies = Policies(store, ids, clock)
    vault = Vault(store, ids, clock, sealer)
    requests = Requests(store, sealer)
    return Services(
        settings=settings,
        store=store,
        clock=clock,
        ids=ids,
        access=Access(store, clock, settings),
        people=People(store, ids, clock, settings),
        agents=Agents(store, ids, clock),
        targets=Targets(store, ids, clock),
        vault=vault,
        policies=policies,
        limits=Limits(store, clock),
        intake=Intake(store, ids, clock, policies, settings),
        requests=requests,
        decisions=Decisions(store),
        execution=Execution(
            store=store,
            clock=clock,
            policies=policies,
            vault=vault,
            sealer=sealer,
            settings=settings,
            executors=executors,
            worker=f"{os.getpid()}-{secrets.token_hex(4)}",
        ),
        sweeps=Sweeps(store, settings),
        feed=Feed(store, requests),
        audit=Audit(store),
    )
