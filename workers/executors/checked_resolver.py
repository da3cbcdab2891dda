"""The resolver of the HTTP client: checked addresses and nothing else (T49)."""

from socket import AF_INET, AF_INET6, AF_UNSPEC, AddressFamily

from aiohttp.abc import AbstractResolver, ResolveResult

from workers.executors.resolving import Lookup, checked_addresses


class Resolver(AbstractResolver):
    """Hands aiohttp nothing but checked addresses."""

    def __init__(self, lookup: Lookup, networks: tuple[str, ...]) -> None:
        self._lookup = lookup
        self._networks = networks

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: AddressFamily = AF_UNSPEC,  # noqa: ARG002 - both
    ) -> list[ResolveResult]:
        """Return the addresses of a host name, all of them permitted."""
        found = await checked_addresses(self._lookup, host, port, self._networks)
        return [_resolved(host, port, address) for address in found]

    async def close(self) -> None:
        """There is nothing to close."""


def _resolved(host: str, port: int, address: str) -> ResolveResult:
    family = AF_INET6 if ":" in address else AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
