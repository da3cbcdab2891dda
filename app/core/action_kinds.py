"""The kinds of actions: how an approved one is carried out."""

from enum import StrEnum


class Kind(StrEnum):
    """How an approved action is carried out."""

    HTTP = "http"
    BUNDLE = "bundle"
    PLAIN = "plain"
    SSH = "ssh"
