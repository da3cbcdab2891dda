"""Races between transactions for one name or one reference: who comes second is told so."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import IntegrityError

from app.core.errors import NameTaken, VersionMismatch

_UNIQUE: Final = ("UniqueViolation", "UNIQUE constraint failed")


@contextmanager
def unique(pointer: str = "/name") -> Generator[None, None, None]:
    """Translate what the database says when somebody else was faster.

    :param pointer: the input that must be unique.
    :raises NameTaken: another row has it since.
    :raises VersionMismatch: something that was referred to is gone, or is referred to since.
    """
    try:
        yield
    except IntegrityError as error:
        told = f"{type(error.orig).__name__} {error.orig}"
        if any(mark in told for mark in _UNIQUE):
            raise NameTaken(pointer=pointer) from error
        raise VersionMismatch from error
