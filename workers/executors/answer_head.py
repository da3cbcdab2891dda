"""The head of an answer, as it came."""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Head:
    """Status and header lines of an answer.

    :ivar lines: name and value in wire order, names as sent.
    """

    status: int
    lines: tuple[tuple[bytes, bytes], ...]

    def values(self, name: str) -> list[str]:
        """Return the values of a header, by its name in lower case."""
        return self._named.get(name.encode(), [])

    @cached_property
    def _named(self) -> dict[bytes, list[str]]:
        named: dict[bytes, list[str]] = {}
        for name, value in self.lines:
            named.setdefault(name.lower(), []).append(value.decode("latin-1"))
        return named
