"""What is delivered to people and subscribers: one row a message, claimed under a lease."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Update, and_, bindparam, case, delete, func, insert, or_, select, update

from app.core.delivery import Attempt, Delivery, DeliveryKind, DeliveryState
from app.core.instant import Instant, plus
from app.core.json_types import JsonObject
from app.store.first import found_once
from app.store.sql import Sql, table_of
from app.store.tables import RequestRow
from app.store.tables_notices import DeliveryAttemptRow, DeliveryRow

if TYPE_CHECKING:
    from app.store.tx import Tx

D = table_of(DeliveryRow)
A = table_of(DeliveryAttemptRow)
R = table_of(RequestRow)

_ADD: Final = Sql(insert(D))
_EACH: Final = 4
"""Most deliveries of one recipient in flight: who hangs holds up nobody else."""

_BUSY = (
    select(D.c.recipient)
    .where(
        D.c.channel == bindparam("channel"), D.c.lease_until.is_not(None),
        D.c.lease_until > bindparam("now"),
    )
    .group_by(D.c.recipient)
    .having(func.count() >= _EACH)
)  # fmt: skip
_LINE = (
    select(
        D.c.id,
        func.row_number().over(partition_by=D.c.recipient, order_by=D.c.run_at).label("place"),
    )
    .where(
        D.c.state == "due", D.c.channel == bindparam("channel"), D.c.run_at <= bindparam("now"),
        D.c.recipient.not_in(_BUSY),
    )
    .subquery()
)  # fmt: skip
_DUE = (
    select(D.c.id)
    .where(D.c.id.in_(select(_LINE.c.id).where(_LINE.c.place <= _EACH)))
    .order_by(D.c.run_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_CLAIM: Final = Sql(
    update(D)
    .where(D.c.id.in_(found_once(_DUE)))
    .values(
        run_at=bindparam("lease_until"), lease_until=bindparam("lease_until"),
        tries=D.c.tries + 1, fence=D.c.fence + 1,
    )
    .returning(*D.c)
)  # fmt: skip
_NEXT: Final = Sql(
    select(func.min(D.c.run_at)).where(D.c.state == "due", D.c.channel == bindparam("channel"))
)
_ATTEMPT: Final = Sql(insert(A))


@dataclass(frozen=True, slots=True)
class Counted:
    """How many deliveries of a channel stand where, and the last error."""

    channel: str
    states: dict[str, int]
    oldest_due: Instant | None
    last_error: str
    last_delivered_at: Instant | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """What did not reach a recipient: deliveries that are tried again, and those that are not."""

    channel: str
    recipient: str
    failing: int
    dead: int


class Deliveries:
    """The deliveries of one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: "Tx") -> None:
        """Work inside the given transaction."""
        self._tx = tx

    def add(self, delivery: Delivery) -> None:
        """Add a delivery, and wake who carries its channel."""
        self._tx.defer(_ADD, {name: getattr(delivery, name) for name in Delivery.__slots__})
        self._tx.changes.append(("delivery", delivery.channel))

    def get(self, delivery_id: str) -> Delivery | None:
        """Return a delivery, or None."""
        return self._one(select(D).where(D.c.id == delivery_id))

    def by_token(self, token: str) -> Delivery | None:
        """Return the delivery whose buttons carry this token, or None."""
        return self._one(select(D).where(D.c.token == token))

    def _one(self, statement: Any) -> Delivery | None:
        row = self._tx.query(statement).first()
        return None if row is None else _delivery(row)

    def of_request(self, request_id: str) -> list[Delivery]:
        """Return the deliveries about a request, oldest first."""
        statement = select(D).where(D.c.request_id == request_id).order_by(D.c.id)
        return [_delivery(row) for row in self._tx.query(statement)]

    def want(self, request_id: str, version: int) -> int:
        """Ask every card of a request to show a version; return how many there are."""
        idle = D.c.lease_until.is_(None)
        changed = self._tx.query(
            update(D)
            .where(
                D.c.request_id == request_id, D.c.kind == DeliveryKind.CARD.value,
                D.c.wanted < version, D.c.state.in_(("due", "done")),
            )
            .values(
                wanted=version, state=DeliveryState.DUE.value, updated_at=self._tx.now,
                tries=case((idle, 0), else_=D.c.tries),
                run_at=case((idle, self._tx.now), else_=D.c.run_at),
            )
            .returning(D.c.channel)
        ).fetchall()  # fmt: skip
        self._wake({str(row[0]) for row in changed})
        return len(changed)

    def _wake(self, channels: set[str]) -> None:
        self._tx.changes.extend(("delivery", channel) for channel in sorted(channels))

    # --- the courier's side ---

    def claim(self, channel: str, most: int, lease_seconds: float) -> list[Delivery]:
        """Take up to ``most`` due deliveries; each is due again when its lease is over."""
        now = self._tx.now
        params = {"channel": channel, "now": now, "most": most,
                  "lease_until": plus(now, lease_seconds)}  # fmt: skip
        return [_delivery(row) for row in self._tx.run(_CLAIM, params).fetchall()]

    def join(self, delivery: Delivery, most: int, lease_seconds: float) -> list[Delivery]:
        """Take what else is due for the same recipient, to be told in the same message."""
        now = self._tx.now
        due = (
            select(D.c.id)
            .where(
                D.c.state == "due", D.c.channel == delivery.channel,
                D.c.recipient == delivery.recipient, D.c.lease_until.is_(None),
            )
            .order_by(D.c.id)
            .limit(most)
            .with_for_update(skip_locked=True)
        )  # fmt: skip
        until = plus(now, lease_seconds)
        rows = self._tx.query(
            update(D)
            .where(D.c.id.in_(found_once(due)))
            .values(run_at=until, lease_until=until, tries=D.c.tries + 1, fence=D.c.fence + 1)
            .returning(*D.c)
        ).fetchall()
        return sorted(map(_delivery, rows), key=lambda item: item.id)

    def next_at(self, channel: str) -> Instant | None:
        """Return when the next delivery of a channel is due, or None."""
        row = self._tx.run(_NEXT, {"channel": channel}).fetchone()
        return None if row is None or row[0] is None else Instant(row[0])

    def taken(
        self, delivery: Delivery, shown: int, reference: JsonObject, display: str, *, complete: bool
    ) -> bool:
        """Write that a message was taken; False when another worker holds it by now.

        When a newer version is wanted meanwhile, it is due again at once.
        """
        now, more = self._tx.now, D.c.wanted > shown
        written = self._tx.query(
            update(D)
            .where(D.c.id == delivery.id, D.c.fence == delivery.fence)
            .values(
                state=case((more, "due"), else_="done"), run_at=now, lease_until=None,
                tries=case((more, 0), else_=D.c.tries), shown=shown,
                reference=json.dumps(reference), display=display, complete=complete,
                last_error="", updated_at=now, delivered_at=now,
            )
        ).rowcount  # fmt: skip
        self._tx.changes.append(("delivery", delivery.channel))
        return written == 1

    def failed(self, delivery: Delivery, error: str, run_at: Instant | None) -> bool:
        """Write that a message was not taken: tried again then, or a dead letter.

        False when another worker holds it by now.
        """
        state = DeliveryState.DEAD if run_at is None else DeliveryState.DUE
        return self._put(delivery, state, run_at or self._tx.now, error)

    def skip(self, delivery: Delivery, why: str) -> bool:
        """Write that a message is not needed any more; False when another worker holds it."""
        return self._put(delivery, DeliveryState.SKIPPED, self._tx.now, why)

    def _put(self, delivery: Delivery, state: DeliveryState, run_at: Instant, error: str) -> bool:
        written = self._tx.query(
            update(D)
            .where(D.c.id == delivery.id, D.c.fence == delivery.fence)
            .values(
                state=state.value, run_at=run_at, lease_until=None, last_error=error[:500],
                updated_at=self._tx.now,
            )
        ).rowcount  # fmt: skip
        self._tx.changes.append(("delivery", delivery.channel))
        return written == 1

    def log(self, attempt: Attempt) -> None:
        """Keep a try."""
        self._tx.defer(_ATTEMPT, {name: getattr(attempt, name) for name in Attempt.__slots__})

    def attempts(self, delivery_id: str) -> list[Attempt]:
        """Return the tries of a delivery, oldest first."""
        rows = self._tx.query(select(A).where(A.c.delivery_id == delivery_id).order_by(A.c.fence))
        return [Attempt(*row) for row in rows]

    # --- held, resent, listed ---

    def load(self, channel: str, recipient: str, since: Instant) -> tuple[int, Instant | None]:
        """Return how many messages a recipient got, or is about to, since an instant.

        Beside it, when the first of those goes out that are held back from them.
        """
        sent = and_(D.c.created_at >= since, D.c.state.in_(("due", "done")))
        statement = select(
            func.count(case((sent, 1))), func.min(case((D.c.state == "held", D.c.run_at)))
        ).where(
            D.c.channel == channel, D.c.recipient == recipient, D.c.kind.in_(("card", "digest")),
            or_(D.c.state == "held", sent),
        )  # fmt: skip
        count, first = self._tx.query(statement).one()
        return int(count), None if first is None else Instant(first)

    def sent(
        self, channel: str, recipient: str, agent_id: str, since: Instant, purpose: str | None
    ) -> int:
        """Return how many cards of an agent's a recipient was sent since an instant.

        :param purpose: of those for one purpose alone.
        """
        statement = (
            select(func.count())
            .join_from(D, R, R.c.id == D.c.request_id)
            .where(
                D.c.channel == channel, D.c.recipient == recipient, R.c.agent_id == agent_id,
                D.c.created_at >= since, D.c.state.in_(("due", "done")),
            )
        )  # fmt: skip
        if purpose is not None:
            statement = statement.where(D.c.purpose == purpose)
        return int(self._tx.query(statement).scalar_one())

    def any_held(self, now: Instant) -> bool:
        """Whether the time of a held delivery has come."""
        statement = select(D.c.id).where(D.c.state == "held", D.c.run_at <= now).limit(1)
        return self._tx.query(statement).first() is not None

    def held(self, now: Instant, most: int) -> list[Delivery]:
        """Return held deliveries whose time has come, by channel and recipient, for this writer."""
        statement = (
            select(D)
            .where(D.c.state == "held", D.c.run_at <= now)
            .order_by(D.c.channel, D.c.recipient, D.c.id)
            .limit(most)
            .with_for_update(skip_locked=True)
        )
        return [_delivery(row) for row in self._tx.query(statement)]

    def gathered(self, digest: Delivery, request_ids: Sequence[str]) -> list[Delivery]:
        """Return the held cards that a digest stands for."""
        statement = select(D).where(
            D.c.request_id.in_(request_ids), D.c.channel == digest.channel,
            D.c.recipient == digest.recipient, D.c.state == "held",
        )  # fmt: skip
        return [_delivery(row) for row in self._tx.query(statement.order_by(D.c.id))]

    def hold(self, deliveries: Sequence[Delivery], until: Instant) -> None:
        """Hold deliveries that are held already for longer."""
        self._tx.query(_these(deliveries).values(run_at=until, updated_at=self._tx.now))

    def release(
        self, deliveries: Sequence[Delivery], state: DeliveryState, run_at: Instant
    ) -> None:
        """Let held deliveries go, as if they were new, or put them aside."""
        now = self._tx.now
        self._tx.query(
            _these(deliveries).values(
                state=state.value, run_at=run_at, created_at=run_at, updated_at=now
            )
        )
        self._wake({item.channel for item in deliveries})

    def resend(self, ids: Sequence[str]) -> int:
        """Make dead, done or skipped deliveries due again, as if they were new."""
        now = self._tx.now
        rows = self._tx.query(
            update(D)
            .where(D.c.id.in_(ids), D.c.lease_until.is_(None), D.c.state != "due")
            .values(state="due", run_at=now, tries=0, created_at=now, updated_at=now,
                    last_error="")
            .returning(D.c.channel)
        ).fetchall()  # fmt: skip
        self._wake({str(row[0]) for row in rows})
        return len(rows)

    def find(
        self,
        *,
        channel: str | None = None,
        recipient: str | None = None,
        state: DeliveryState | None = None,
        before: str | None = None,
        limit: int = 100,
        without: str = "",
    ) -> list[Delivery]:
        """Return deliveries, newest first; none of the channel ``without``."""
        statement = select(D).where(D.c.channel != without).order_by(D.c.id.desc()).limit(limit)
        exact = ((D.c.channel, channel), (D.c.recipient, recipient), (D.c.state, state))
        for column, value in exact:
            if value is not None:
                statement = statement.where(column == value)
        if before is not None:
            statement = statement.where(D.c.id < before)
        return [_delivery(row) for row in self._tx.query(statement)]

    def counted(self) -> list[Counted]:
        """Return how each channel does."""
        states: dict[str, dict[str, int]] = {}
        oldest: dict[str, Instant] = {}
        latest: dict[str, Instant] = {}
        rows = self._tx.query(
            select(D.c.channel, D.c.state, func.count(), func.min(D.c.created_at),
                   func.max(D.c.delivered_at)).group_by(D.c.channel, D.c.state)
        )  # fmt: skip
        for channel, state, count, first, last in rows:
            states.setdefault(channel, {})[state] = int(count)
            if state == "due":
                oldest[channel] = Instant(first)
            if last is not None:
                latest[channel] = Instant(max(last, latest.get(channel, 0)))
        return [
            Counted(name, found, oldest.get(name), self._last_error(name), latest.get(name))
            for name, found in sorted(states.items())
        ]

    def troubled(self) -> list[Trouble]:
        """Return the recipients that something did not reach."""
        tell = (func.sum(case((D.c.state == state, 1), else_=0)) for state in ("due", "dead"))
        rows = self._tx.query(
            select(D.c.channel, D.c.recipient, *tell)
            .where(D.c.last_error != "", D.c.state.in_(("due", "dead")))
            .group_by(D.c.channel, D.c.recipient)
        )
        return [Trouble(str(row[0]), str(row[1]), int(row[2]), int(row[3])) for row in rows]

    def _last_error(self, channel: str) -> str:
        statement = (
            select(D.c.last_error)
            .where(D.c.channel == channel, D.c.last_error != "", D.c.state.in_(("due", "dead")))
            .order_by(D.c.updated_at.desc())
            .limit(1)
        )
        return str(self._tx.query(statement).scalar() or "")

    def forget(self, before: Instant) -> None:
        """Remove what was settled, and the tries logged, before an instant."""
        settled = D.c.state.in_(("done", "skipped", "dead"))
        self._tx.query(delete(A).where(A.c.at < before))
        self._tx.query(delete(D).where(settled, D.c.updated_at < before))


def _these(deliveries: Sequence[Delivery]) -> Update:
    return update(D).where(D.c.id.in_([item.id for item in deliveries]), D.c.state == "held")


def _delivery(row: Sequence[Any]) -> Delivery:
    values = list(row)
    values[1] = DeliveryKind(values[1])
    values[12] = bool(values[12])
    values[15] = DeliveryState(values[15])
    return Delivery(*values)
