"""What people do: press, submit, call a command; and what the application answers."""

import json
from typing import Any

from tests.support.discord_answers import Answers
from tests.support.discord_endpoint import Endpoint, Signed, Tamper
from tests.support.discord_faults import News
from tests.support.discord_gateway import Gateway
from tests.support.discord_limits import Refused
from tests.support.discord_message import Message
from tests.support.discord_payloads import begin, called, pressed, submitted
from tests.support.discord_people import JSON, Channel, User
from tests.support.discord_world import (
    COMMAND,
    COMPONENT,
    MODAL,
    PING,
    SUGGESTION,
    Delivery,
    Interaction,
    Modal,
    World,
)

_GOOD = 200
_PROMISED = (202, 204)


class Actions:
    """Acts for people, and brings it to the application.

    :ivar deadline: seconds that the application has to answer over the gateway.
    """

    def __init__(
        self, world: World, gateway: Gateway, answers: Answers, endpoint: Endpoint
    ) -> None:
        """Act in a world."""
        self.world = world
        self.gateway = gateway
        self.answers = answers
        self.endpoint = endpoint
        self.news: News = gateway.news
        self.deadline = 3.0

    async def press(
        self,
        message: Message,
        custom_id: str,
        *,
        user: User,
        values: list[str] | None = None,
        stale: bool = False,
        tamper: Tamper | None = None,
        repeat: int = 1,
    ) -> Interaction:
        """Press a button, or choose values from a list.

        :param stale: the user still sees an earlier version of the message.
        :param tamper: how the endpoint's request differs from a good one.
        :param repeat: how often the endpoint's request is posted, byte for byte.
        :raises LookupError: there is no such button, or not for this user.
        """
        interaction = begin(self.world, COMPONENT, user, message.channel, message)
        pressed(interaction, custom_id, values or [], stale=stale)
        return await self._deliver(interaction, tamper, repeat)

    async def submit(
        self,
        modal: Modal,
        values: dict[str, str],
        *,
        user: User | None = None,
        tamper: Tamper | None = None,
        repeat: int = 1,
    ) -> Interaction:
        """Fill in an open modal and send it.

        :param user: another one than before whom it is open.
        :raises ValueError: the values do not fit the inputs.
        """
        by = modal.opened_by
        interaction = begin(self.world, MODAL, user or modal.user, by.channel, by.source)
        submitted(interaction, modal, values)
        if modal in self.world.modals:
            self.world.modals.remove(modal)
        return await self._deliver(interaction, tamper, repeat)

    async def command(
        self,
        name: str,
        options: JSON | None = None,
        *,
        user: User,
        channel: Channel | None = None,
        tamper: Tamper | None = None,
        repeat: int = 1,
    ) -> Interaction:
        """Call a slash command, such as ``assentry decide`` with its options.

        :raises LookupError: it is not registered, or the user is not there.
        :raises ValueError: the options do not fit.
        """
        interaction = begin(self.world, COMMAND, user, channel or self.world.approvals)
        called(self.world, interaction, name, options or {}, "")
        return await self._deliver(interaction, tamper, repeat)

    async def suggest(
        self, name: str, options: JSON, focused: str, *, user: User, channel: Channel | None = None
    ) -> list[JSON]:
        """Return the choices that the application suggests for an option."""
        interaction = begin(self.world, SUGGESTION, user, channel or self.world.approvals)
        called(self.world, interaction, name, options, focused)
        await self._deliver(interaction, None, 1)
        return interaction.data.get("choices") or []

    async def ping(self, url: str | None = None, tamper: Tamper | None = None) -> Delivery:
        """Post the vendor's PING, and return what came back."""
        url = url or self.world.endpoint
        assert url is not None, "the application has no endpoint"
        body: JSON = {
            "id": str(self.world.snowflakes.new()),
            "application_id": str(self.world.bot.id),
            "type": PING,
            "token": "a-token-that-nobody-needs",
            "version": 1,
            "user": self.world.anna.json(),
            "entitlements": [],
            "authorizing_integration_owners": {},
        }
        return await self.endpoint.post(url, self.endpoint.sign(_bytes(body), tamper))

    async def probe(self, url: str | None = None) -> Delivery:
        """Post a PING with a bad signature, as the vendor does now and then."""
        return await self.ping(url, Tamper(signature="00" * 64))

    async def set_endpoint(self, url: str | None) -> None:
        """Enter the application's interactions URL, if it passes PING and probe.

        :raises Refused: it does not; the old one stays.
        """
        if url is not None and not await self._passes(url):
            error = {
                "code": "APPLICATION_INTERACTIONS_ENDPOINT_URL_INVALID",
                "message": "The specified interactions endpoint URL could not be verified.",
            }
            errors = {"interactions_endpoint_url": {"_errors": [error]}}
            raise Refused(400, 50035, "Invalid Form Body", errors)
        self.world.endpoint = url

    async def replay(self, signed: Signed) -> Delivery:
        """Post a request again that was sent before, byte for byte; see ``endpoint.sent``."""
        assert self.world.endpoint is not None, "the application has no endpoint"
        return await self.endpoint.post(self.world.endpoint, signed)

    async def _passes(self, url: str) -> bool:
        pong = await self.ping(url)
        probe = await self.probe(url)
        return pong.status == _GOOD and _json(pong).get("type") == PING and probe.status == 401

    async def _deliver(
        self, interaction: Interaction, tamper: Tamper | None, repeat: int
    ) -> Interaction:
        self.world.interactions[interaction.token] = interaction
        await self.news.tell()
        waits = True
        if self.world.endpoint is None:
            await self.gateway.dispatch("INTERACTION_CREATE", interaction.payload)
        else:
            waits = await self._post(self.world.endpoint, interaction, tamper, repeat)
        if waits:
            await self._response(interaction)
        interaction.late = interaction.response is None
        await self.news.tell()
        return interaction

    async def _post(
        self, url: str, interaction: Interaction, tamper: Tamper | None, repeat: int
    ) -> bool:
        """Post an interaction; return whether its callback may still come over REST."""
        signed = self.endpoint.sign(_bytes(interaction.payload), tamper)
        for _ in range(repeat):
            delivery = await self.endpoint.post(url, signed)
            interaction.deliveries.append(delivery)
            if delivery.status == _GOOD and interaction.response is None:
                await self._take(interaction, delivery)
        return interaction.deliveries[0].status in _PROMISED

    async def _take(self, interaction: Interaction, delivery: Delivery) -> None:
        try:
            await self.answers.take(interaction, _json(delivery), [])
        except Refused as error:
            interaction.refused = error.json()

    async def _response(self, interaction: Interaction) -> None:
        try:
            await self.news.wait_for(lambda: interaction.response is not None, self.deadline)
        except TimeoutError:
            interaction.late = True


def _bytes(body: JSON) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _json(delivery: Delivery) -> JSON:
    try:
        body: Any = json.loads(delivery.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
