"""A host key as a server showed it, for a person to compare before it is trusted."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ShownKey:
    """What a host showed; nothing of it is trusted yet.

    :ivar key: as ``type data``.
    :ivar fingerprint: ``SHA256:...``, as ``ssh-keygen -l`` writes it.
    :ivar pinned: the fingerprints that are pinned for the host now.
    """

    host: str
    port: int
    key: str
    fingerprint: str
    pinned: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether it is another key than those that are pinned: somebody may be in between."""
        return bool(self.pinned) and not self.is_pinned

    @property
    def is_pinned(self) -> bool:
        """Whether it is one of those that are pinned."""
        return self.fingerprint in self.pinned

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
