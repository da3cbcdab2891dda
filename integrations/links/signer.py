"""Signs link ids with itsdangerous: SHA-256, a key id in front, and an age.

The signature only keeps guesses away from the database; whether a link still decides anything
says its row.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer

_SALT: Final = "assentry link"
MAX_AGE: Final = 30 * 86_400
"""Seconds after which no token is read any more, whatever its row says."""


class Signer:
    """Makes tokens ``kid.signed`` with the first key, and reads those of every key."""

    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        """Take the keys by id, the current one first."""
        self._current = keys[0][0]
        self._makers = {
            name: URLSafeTimedSerializer(key, salt=_SALT, signer_kwargs={"digest_method": sha256})
            for name, key in keys
        }

    def sign(self, link_id: str) -> str:
        """Return the token that stands in the link."""
        signed = self._makers[self._current].dumps(link_id)
        return f"{self._current}~{signed}"

    def read(self, token: str) -> str:
        """Return the link id of a token.

        :raises ValueError: it is not one of ours, or it is too old.
        """
        name, _, signed = token.partition("~")
        maker = self._makers.get(name)
        if maker is None:
            message = "no key of ours signed this"
            raise ValueError(message)
        try:
            return str(maker.loads(signed, max_age=MAX_AGE))
        except BadData as error:
            message = "this is not a link of ours"
            raise ValueError(message) from error
