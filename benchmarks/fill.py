"""Fills the requests table quickly, for measurements at a given number of rows."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from random import Random

from sqlalchemy import func, insert, select

from app.clock import Ids
from app.core.action import Kind, PlainAction, Submission, Urgency, seal
from app.core.canonical import digest
from app.core.instant import SECOND, Instant
from app.core.policy import Effect
from app.core.request import Request, Status
from app.settings import load
from app.store.database import Database
from app.store.request_rows import COLUMNS, T, flat

_BATCH = 5000
_ACTIONS = ("send_mail", "read_file", "transfer", "restart_service", "rare_thing")
_WEIGHTS = (50, 40, 5, 4.9, 0.1)
_VERDICT = '{"effect":"review","policy":null,"reasons":["no policy matched"],"rule":null}'
_FAR = Instant(4_000_000_000 * SECOND)
_STATUSES = (Status.APPROVED, Status.DENIED, Status.EXPIRED, Status.PENDING)


def fill(environment: Mapping[str, str], count: int) -> None:
    """Insert old requests of many agents until the table has ``count`` rows."""
    database = Database(load(environment).database)
    engine = database.engine(writer=True)
    random, ids = Random(1), Ids()
    with engine.connect() as connection:
        with connection.begin():
            missing = count - connection.execute(select(func.count()).select_from(T)).scalar_one()
        start = 1_600_000_000 * SECOND
        for begin in range(0, missing, _BATCH):
            size = min(_BATCH, missing - begin)
            rows = [_row(ids, random, start + (begin + n) * SECOND) for n in range(size)]
            with connection.begin():
                connection.execute(insert(T), rows)
    engine.dispose()


def _row(ids: Ids, random: Random, at: int) -> dict[str, object]:
    action = random.choices(_ACTIONS, _WEIGHTS)[0]
    agent = f"agt_{random.randrange(50)}"
    body = Submission(agent, PlainAction(action, {"n": at}), None, Urgency.NORMAL, "old", {})
    payload = seal(body)
    now, status = Instant(at), random.choice(_STATUSES)
    made = Request(
        id=ids.new("req", now), agent_id=agent, key_id="key_old", owner_id=None, kind=Kind.PLAIN,
        action=action, target_id=None, target_name=None, urgency=Urgency.NORMAL, reason="old",
        payload=payload, digest=digest(payload), effect=Effect.REVIEW, verdict=_VERDICT, quorum=1,
        owner_may_decide=None, route="", require_reason=False, valid_for=900, created_at=now,
        expires_at=_FAR, status=status,
    )  # fmt: skip
    if status is Status.APPROVED:  # a grant once given does not change, so no other may have one
        made = replace(made, decided_at=now, valid_until=_FAR)
    return dict(zip(COLUMNS, flat(made), strict=True))


if __name__ == "__main__":
    import os

    fill(os.environ, int(sys.argv[1]))
