"""How much of a lane the calls at one target may hold, so that one that hangs stalls no other."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from app.core.jobs import Postponed
from app.core.request import Request

_LATER: Final = 0.5
_Place = tuple[str, bool]
"""A target, and whether a person approved."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What this worker carries out, by target; what people approved is counted apart.

    :ivar most: requests of one target at a time.
    """

    most: int
    _inside: Counter[_Place] = field(default_factory=Counter[_Place])

    @contextmanager
    def inside(self, request: Request) -> Generator[None, None, None]:
        """Hold a place at the request's target meanwhile; what has no target needs none.

        :raises Postponed: there is none at present.
        """
        if request.target_id is None:
            yield
            return
        place = (request.target_id, request.by_people)
        if self._inside[place] >= self.most:
            raise Postponed(_LATER)
        self._inside[place] += 1
        try:
            yield
        finally:
            self._inside[place] -= 1
            if not self._inside[place]:
                del self._inside[place]
