"""A host key as a server showed it, for a person to compare before it is trusted."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ShownKey:
    """What a host showed; nothing of it is trusted yet.

    :ivar key: as ``type data``.
    :ivar fingerprint: ``SHA256:...``, as ``ssh-keygen -l`` writes it.
    """

    host: str
    port: int
    key: str
    fingerprint: str

    @property
    def kind(self) -> str:
        """The type of the key, such as ``ssh-ed25519``."""
        return self.key.partition(" ")[0]


class KeyLook(Protocol):
    """Asks a host for its key, and says nothing to it."""

    async def __call__(self, host: str, port: int, networks: tuple[str, ...]) -> ShownKey:
        """Return the key.

        :raises NotStarted: the host could not be reached, or may not be.
        """
        ...
