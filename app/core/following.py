"""Takes secrets out of messages that follow each other, also where one is spread over several.

A message is given out before the next one is known. So of a secret that goes on in the next one,
less than half may show: from then on it is known for one, and what else there is of it is taken
out of the messages in which it stands (T47, T60).
"""

from typing import Final

from app.core.redaction import MARK, Redactor, merged

_MARK: Final = MARK.encode()


class Following:
    """Redacts messages in their order.

    :ivar count: how many places were replaced.
    """

    __slots__ = ("_before", "_redactor", "count")

    def __init__(self, redactor: Redactor) -> None:
        """Begin before the first message."""
        self._redactor = redactor
        self._before = b""
        self.count = 0

    def clean(self, message: bytes) -> bytes:
        """Return the next message without secrets, and without the beginning of one at its end."""
        redactor, at = self._redactor, len(self._before)
        if not redactor.longest:
            return message
        whole = self._before + message
        self._before = whole[1 - redactor.longest :]
        places = redactor.spans(whole)
        cut = redactor.overlap(whole)
        if cut:
            places = merged([*places, (len(whole) - cut, len(whole))])
        return self._without(whole, at, [place for place in places if place[1] > at])

    def _without(self, whole: bytes, done: int, places: list[tuple[int, int]]) -> bytes:
        """Return what is behind the messages before, with marks in the stead of the places."""
        parts: list[bytes] = []
        for start, end in places:
            parts += (whole[done:start], _MARK)
            done = end
        self.count += len(places)
        return b"".join([*parts, whole[done:]])
