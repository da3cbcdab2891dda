"""The blocks of a card: the parts of what will run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """A part of what will run.

    :ivar note: how it is to be read, such as ``JSON, formatted``.
    :ivar exact: the exact form, where ``text`` is a formatted one.
    :ivar faithful: whether ``text`` says all that ``exact`` says, white space aside.
    :ivar call: number of the call of a bundle that it belongs to; 0 where there is one alone.
    :ivar shown: whether the text is the part itself; otherwise a person must look elsewhere.
    """

    title: str
    text: str
    note: str = ""
    exact: str = ""
    faithful: bool = True
    call: int = 0
    shown: bool = True

    @property
    def whole(self) -> str:
        """What a surface with one view shows: the formatted form, unless it would hide a byte."""
        return self.text if self.faithful else self.exact
