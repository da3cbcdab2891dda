"""What the controls of a message carry: what is done, and the opaque token of the card (T18)."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from app.core.request import Choice

_FORM: Final = re.compile(r"assentry:(approve|deny)(-why)?:([A-Za-z0-9_-]{1,64})")
_CHOICES: Final = {"approve": Choice.APPROVE, "deny": Choice.DENY}


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody does with a control.

    :ivar token: of the card's copy that the control stands on.
    :ivar asks: whether it opens a form for the reason.
    """

    verb: Literal["approve", "deny"]
    token: str
    asks: bool = False

    @property
    def choice(self) -> Choice:
        """The choice that it is."""
        return _CHOICES[self.verb]


def custom_id(act: Act) -> str:
    """Return the id of a control; Discord sends it back, and keeps it over our restarts."""
    return f"assentry:{act.verb}{'-why' if act.asks else ''}:{act.token}"


def read_act(text: object) -> Act | None:
    """Return what a control's id stands for; None when it is not one of ours."""
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    verb = "approve" if found[1] == "approve" else "deny"
    return Act(verb, found[3], asks=found[2] is not None)
