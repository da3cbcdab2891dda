"""A target that hangs holds a part of a lane, never all of it."""

from contextlib import ExitStack
from dataclasses import replace

import pytest

from app.core.jobs import Postponed
from app.core.policy import Effect
from app.services.crowding import Crowd
from tests.core.test_lifecycle import a_request

pytestmark = pytest.mark.requirement("EXE-7")


def test_a_target_has_so_many_places() -> None:
    crowd, one = Crowd(2), replace(a_request(), target_id="tgt_1", effect=Effect.ALLOW)
    other, decided = replace(one, target_id="tgt_2"), replace(one, effect=Effect.REVIEW)
    with ExitStack() as held:
        for request in (one, one, other, decided):
            held.enter_context(crowd.inside(request))
        with pytest.raises(Postponed), crowd.inside(one):
            pass
        for _ in range(9):
            held.enter_context(crowd.inside(replace(one, target_id=None)))
    for _ in range(3):
        with crowd.inside(one), crowd.inside(one):
            pass
