"""Subscriptions: made, changed, rotated and tested; what each one is sent (HOOK-1, HOOK-2)."""

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from app.clock import Ids, SystemClock
from app.core.addresses import check_literal, parse_networks
from app.core.audit import Actor
from app.core.checks import all_of
from app.core.conditions.glob import any_of, plain_glob
from app.core.delivery import Attempt, Delivery, DeliveryState
from app.core.errors import InvalidField, InvalidPolicy, NotFound
from app.core.instant import plus
from app.core.json_types import JsonValue
from app.core.ports import DeliveryFailed, Parcel
from app.core.principals import Caller, Scope
from app.core.subscriptions import EVENT_TYPES, Filters, Subscription
from app.core.visible import escape, visible_text
from app.services.access import require
from app.services.announcements import WEBHOOK
from app.services.sealing import Sealer
from app.store.deliveries import Trouble
from app.store.engine import Store
from app.store.tx import Tx
from app.store.webhooks import SealedSecrets

PURPOSE: Final = "webhook"
"""Purpose under which secrets are sealed."""

FORMATS: Final = ("standard", "wake")
GRACE: Final = 86_400
"""Seconds that the secret before is still used for signing, beside the new one."""

MOST_FORMER: Final = 4
"""Most secrets that sign beside the current one."""

_MAX_NAME: Final = 100
_MAX_URL: Final = 2000
_MAX_GLOBS: Final = 32
_RESENT: Final = 10_000
_MODE: Final = "now"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A subscription as somebody asks for it; None leaves what there is."""

    name: str | None = None
    url: str | None = None
    format: str | None = None
    filters: Filters | None = None
    networks: Sequence[str] | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The subscriptions of the installation."""

    store: Store
    ids: Ids
    clock: SystemClock
    sealer: Sealer

    async def create(self, caller: Caller, wanted: Wanted) -> tuple[Subscription, str]:
        """Add a subscription; return it and its secret, which is shown this once.

        It tells of every agent's requests, and so takes the right to read them.

        :raises InvalidField: with the pointer of what must change.
        :raises NameTaken: another one has the name.
        """
        _require(caller)
        now = self.clock.now()
        blank = Subscription(self.ids.new("whk"), "", "", "standard", Filters(), True, (), now, now)  # noqa: FBT003
        made, secret = _changed(caller, blank, wanted), _new_secret()
        sealed = SealedSecrets(self._seal(made.id, secret))
        await self.store.write(lambda tx: _add(tx, caller.actor, made, sealed))
        return made, secret

    async def update(self, caller: Caller, webhook_id: str, wanted: Wanted) -> Subscription:
        """Change a subscription, with the right to read what it tells."""
        _require(caller)
        return await self.store.write(
            lambda tx: _update(tx, caller, webhook_id, wanted), order=webhook_id
        )

    async def rotate(self, caller: Caller, webhook_id: str) -> str:
        """Return a new secret; the ones before sign for a day, so that no delivery is refused."""
        require(caller, Scope.WEBHOOK_MANAGE)
        secret = _new_secret()
        await self.store.write(
            lambda tx: self._rotate(tx, caller.actor, webhook_id, secret), order=webhook_id
        )
        return secret

    def _rotate(self, tx: Tx, actor: Actor, webhook_id: str, secret: str) -> None:
        _existing(tx, webhook_id)
        tx.webhooks.lock(webhook_id)
        before = tx.webhooks.secrets(webhook_id)
        assert before is not None
        until = plus(tx.now, GRACE)
        last = self.sealer.open(PURPOSE, webhook_id, before.secret).decode()
        former = [(last, until), *self._former(tx, webhook_id, before)][:MOST_FORMER]
        kept = "\n".join(f"{text} {ends}" for text, ends in former)
        sealed = SealedSecrets(self._seal(webhook_id, secret), self._seal(webhook_id, kept), until)
        tx.webhooks.put_secrets(webhook_id, sealed)
        tx.note("webhook.rotated", actor, f"webhook:{webhook_id}", {"both_until": until})

    def _former(self, tx: Tx, webhook_id: str, sealed: SealedSecrets) -> "list[tuple[str, int]]":
        """Return the secrets before the current one that still sign, and until when each does."""
        if sealed.previous is None:
            return []
        lines = self.sealer.open(PURPOSE, webhook_id, sealed.previous).decode().split("\n")
        found = [(text, int(ends or sealed.previous_until or 0))
                 for text, _, ends in (line.partition(" ") for line in lines)]  # fmt: skip
        return [(text, ends) for text, ends in found if ends > tx.now]

    async def delete(self, caller: Caller, webhook_id: str) -> None:
        """Remove a subscription; what is still to be delivered is dropped."""
        require(caller, Scope.WEBHOOK_MANAGE)
        await self.store.write(lambda tx: _delete(tx, caller.actor, webhook_id), order=webhook_id)

    async def list(self, caller: Caller) -> "list[Subscription]":
        """Return all subscriptions by name."""
        require(caller, Scope.WEBHOOK_MANAGE)
        return await self.store.read(lambda tx: tx.webhooks.all())

    async def troubled(self, caller: Caller) -> dict[str, Trouble]:
        """Return by the id of a subscription what did not reach its subscriber."""
        require(caller, Scope.WEBHOOK_MANAGE)
        found = await self.store.read(lambda tx: tx.deliveries.troubled())
        return {item.recipient: item for item in found if item.channel == WEBHOOK}

    async def get(self, caller: Caller, webhook_id: str) -> Subscription:
        """Return a subscription.

        :raises NotFound: there is none.
        """
        require(caller, Scope.WEBHOOK_MANAGE)
        return await self.store.read(lambda tx: _existing(tx, webhook_id))

    async def rewrap(self) -> int:
        """Wrap every secret by the current master key, and return how many there were.

        :raises CannotOpen: one does not open, because a former master key is missing.
        """
        return await self.store.write(self._rewrap, long=True)

    def _rewrap(self, tx: Tx) -> int:
        found = tx.webhooks.all()
        for item in found:
            tx.webhooks.lock(item.id)
            sealed = tx.webhooks.secrets(item.id)
            if sealed is not None:
                previous = sealed.previous and self._anew(item.id, sealed.previous)
                fresh = SealedSecrets(
                    self._anew(item.id, sealed.secret), previous, sealed.previous_until
                )
                tx.webhooks.put_secrets(item.id, fresh)
        return len(found)

    def _anew(self, webhook_id: str, sealed: bytes) -> bytes:
        return self.sealer.rewrap(PURPOSE, webhook_id, sealed)

    # --- the delivery log ---

    async def deliveries(
        self, caller: Caller, webhook_id: str, state: DeliveryState | None, before: str | None,
        limit: int,
    ) -> "list[Delivery]":  # fmt: skip
        """Return what a subscriber was sent, newest first."""
        require(caller, Scope.WEBHOOK_MANAGE)
        return await self.store.read(
            lambda tx: tx.deliveries.find(
                channel=WEBHOOK, recipient=_existing(tx, webhook_id).id, state=state,
                before=before, limit=limit,
            )
        )  # fmt: skip

    async def attempts(self, caller: Caller, webhook_id: str, delivery_id: str) -> "list[Attempt]":
        """Return the tries of a delivery, oldest first."""
        require(caller, Scope.WEBHOOK_MANAGE)
        return await self.store.read(
            lambda tx: tx.deliveries.attempts(_delivery(tx, webhook_id, delivery_id).id)
        )

    async def resend(self, caller: Caller, webhook_id: str, delivery_id: str | None) -> int:
        """Send one delivery again, or all dead ones; return how many."""
        require(caller, Scope.WEBHOOK_MANAGE)
        return await self.store.write(
            lambda tx: _resend(tx, caller.actor, webhook_id, delivery_id), order=webhook_id
        )

    # --- what is sent ---

    async def parcel(self, delivery: Delivery, others: Sequence[Delivery] = ()) -> Parcel:
        """Return what a delivery sends now.

        :param others: further deliveries for the same agent runtime, told in the same message.
        :raises DeliveryFailed: the subscription is gone or switched off.
        """
        return await self.store.read(lambda tx: self._parcel(tx, delivery, others))

    def _parcel(self, tx: Tx, delivery: Delivery, others: Sequence[Delivery]) -> Parcel:
        found = tx.webhooks.get(delivery.recipient)
        sealed = tx.webhooks.secrets(delivery.recipient)
        event = tx.webhooks.event(delivery.event_id or "")
        if found is None or sealed is None or event is None or not found.enabled:
            message = "the subscription is gone or switched off"
            raise DeliveryFailed(message, permanent=True)
        wake = found.format == "wake"
        body = _wake(tx, [delivery, *others]) if wake else event.body.encode()
        live = self._live(tx, found.id, sealed)
        return Parcel(event.id, found.url, body, live, found.networks, bearer=wake)

    def _live(self, tx: Tx, webhook_id: str, sealed: SealedSecrets) -> tuple[str, ...]:
        current = self.sealer.open(PURPOSE, webhook_id, sealed.secret).decode()
        return (current, *(text for text, _ in self._former(tx, webhook_id, sealed)))

    def _seal(self, webhook_id: str, secret: str) -> bytes:
        return self.sealer.seal(PURPOSE, webhook_id, secret.encode())


def _require(caller: Caller) -> None:
    require(caller, Scope.WEBHOOK_MANAGE)
    require(caller, Scope.REQUEST_READ)


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def _existing(tx: Tx, webhook_id: str) -> Subscription:
    found = tx.webhooks.get(webhook_id)
    if found is None:
        message = "there is no such subscription"
        raise NotFound(message)
    return found


def _changed(caller: Caller, before: Subscription, wanted: Wanted) -> Subscription:
    """Return a subscription with what is wanted, checked."""
    after = replace(
        before,
        name=before.name if wanted.name is None else wanted.name.strip(),
        url=before.url if wanted.url is None else wanted.url,
        format=wanted.format or before.format,
        filters=wanted.filters or before.filters,
        enabled=before.enabled if wanted.enabled is None else wanted.enabled,
        networks=before.networks if wanted.networks is None else parse_networks(wanted.networks),
        disabled_reason="" if wanted.enabled else before.disabled_reason,
    )
    _check(after)
    if after.networks and (before.networks, before.url) != (after.networks, after.url):
        require(caller, Scope.ADMIN)  # who else could make us call the inside of the network?
    return after


def _check(item: Subscription) -> None:
    if item.format not in FORMATS:
        message = f"the format is {' or '.join(FORMATS)}"
        raise InvalidField(message, pointer="/format")
    filters = item.filters
    all_of(
        lambda: _check_name(item.name),
        lambda: _check_address(item),
        lambda: _check_events(filters.events),
        lambda: _check_globs(filters.agents, "/filters/agents"),
        lambda: _check_globs(filters.targets, "/filters/targets"),
        lambda: _check_globs(filters.actions, "/filters/actions"),
    )


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
        message = f"a name has 1 to {_MAX_NAME} printable characters"
        raise InvalidField(message, pointer="/name")


def _check_address(item: Subscription) -> None:
    """Refuse what is no URL, or could never be delivered (T49)."""
    _check_url(item.url)
    check_literal(urlsplit(item.url).hostname or "", item.networks, "/networks")
    if item.format == "wake" and item.enabled and not (item.networks or _is_secure(item.url)):
        message = "a runtime is sent the secret itself: over https, or into networks of yours"
        raise InvalidField(message, pointer="/url")


def _check_events(events: tuple[str, ...]) -> None:
    if unknown := sorted(set(events) - set(EVENT_TYPES)):
        message = f"there is no event {unknown[0]!r}; use {', '.join(EVENT_TYPES)}"
        raise InvalidField(message, pointer="/filters/events")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good, parts = False, urlsplit("")
    plain = len(url) <= _MAX_URL and url.isascii() and url.isprintable() and " " not in url
    if not good or not plain or parts.username is not None or parts.fragment:
        message = "a URL is http or https, without user, password and fragment"
        raise InvalidField(message, pointer="/url")


def _is_secure(url: str) -> bool:
    return url.lower().startswith("https:")


def _check_globs(globs: tuple[str, ...], pointer: str) -> None:
    if len(globs) > _MAX_GLOBS:
        message = f"at most {_MAX_GLOBS} globs"
        raise InvalidField(message, pointer=pointer)
    try:
        if globs:
            any_of(globs, plain_glob, pointer)
    except InvalidPolicy as error:
        raise InvalidField(error.detail, pointer=error.pointer) from error


def _summary(item: Subscription) -> dict[str, JsonValue]:
    return {"name": item.name, "url": item.url, "format": item.format, "enabled": item.enabled}


def _add(tx: Tx, actor: Actor, made: Subscription, sealed: SealedSecrets) -> None:
    tx.webhooks.add(made, sealed)
    tx.note("webhook.created", actor, f"webhook:{made.id}", _summary(made))


def _update(tx: Tx, caller: Caller, webhook_id: str, wanted: Wanted) -> Subscription:
    _existing(tx, webhook_id)
    before = tx.webhooks.lock(webhook_id)
    assert before is not None
    after = replace(_changed(caller, before, wanted), updated_at=tx.now)
    tx.webhooks.put(after)
    tx.note("webhook.updated", caller.actor, f"webhook:{webhook_id}", _summary(after))
    return after


def _delete(tx: Tx, actor: Actor, webhook_id: str) -> None:
    found = _existing(tx, webhook_id)
    tx.webhooks.drop(webhook_id)
    tx.note("webhook.deleted", actor, f"webhook:{webhook_id}", _summary(found))


def _delivery(tx: Tx, webhook_id: str, delivery_id: str) -> Delivery:
    one = tx.deliveries.get(delivery_id)
    if one is None or one.channel != WEBHOOK or one.recipient != webhook_id:
        message = "there is no such delivery"
        raise NotFound(message)
    return one


def _resend(tx: Tx, actor: Actor, webhook_id: str, delivery_id: str | None) -> int:
    found = _existing(tx, webhook_id)
    if delivery_id is None:
        dead = tx.deliveries.find(
            channel=WEBHOOK, recipient=found.id, state=DeliveryState.DEAD, limit=_RESENT
        )
        ids = [item.id for item in dead]
    else:
        ids = [_delivery(tx, webhook_id, delivery_id).id]
    count = tx.deliveries.resend(ids) if ids else 0
    tx.note("webhook.resent", actor, f"webhook:{webhook_id}", {"deliveries": count})
    return count


def _wake(tx: Tx, items: Sequence[Delivery]) -> bytes:
    """Return the message that wakes an agent runtime: all that it missed, a line each."""
    lines: list[str] = []
    for item in items:
        event = tx.webhooks.event(item.event_id or "")
        if event is not None:
            data = json.loads(event.body)["data"]
            said = f": {data['comment']}" if data["comment"] else ""
            what = event.type.removeprefix("request.")
            line = f"{data['request_id']} ({data['action']}) {what}: {data['status']}{said}"
            lines.append(visible_text(line).replace("\n", escape("\n")))
    text = "Assentry: " + "\n".join(lines)
    return json.dumps({"text": text, "mode": _MODE}, ensure_ascii=False).encode()
