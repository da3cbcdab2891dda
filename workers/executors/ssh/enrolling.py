"""Asks a host for its key before anybody trusts it; nobody logs in."""

import asyncio

import asyncssh

from app.core.host_keys import ShownKey
from app.core.outcome import NotStarted
from app.core.ssh_action import SshExec, SshHop, SshPlace
from app.core.ssh_plan import SshPlan
from app.core.ssh_target import fingerprint
from workers.executors.resolving import Lookup, system_lookup
from workers.executors.ssh.connecting import reach

SECONDS = 10.0


async def look(
    host: str, port: int, networks: tuple[str, ...], lookup: Lookup = system_lookup
) -> ShownKey:
    """Return the key that a host shows.

    :raises NotStarted: it could not be reached, may not be, or showed none.
    """
    hop = SshHop(host, port, "nobody", ())
    plan = SshPlan("-", SshExec("-"), SshPlace(host, port, hop.user, ()), networks)
    try:
        async with asyncio.timeout(SECONDS):
            sock = await reach(plan, hop, lookup)
            key = await asyncssh.get_server_host_key(host, port, sock=sock, config=None)
    except TimeoutError as error:
        raise NotStarted("connect_timeout", "The host did not answer in time.") from error
    except (asyncssh.Error, OSError) as error:
        raise NotStarted("connection_lost", "The host showed no key.") from error
    if key is None:
        raise NotStarted("connection_lost", "The host showed no key.")
    text = " ".join(key.export_public_key().decode("ascii").split()[:2])
    return ShownKey(host, port, text, fingerprint(text))
