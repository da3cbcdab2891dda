"""The shapes of presets at the wire."""

from app.core.errors import InvalidField
from app.core.presets import Preset
from app.services.presets import Wanted
from app.web.models import Out
from app.web.models_directory import TargetIn

_BY_HAND = ("name", "credential_id", "guard")
_BY_PRESET = ("account", "fields", "client_id", "client_secret")


class PresetCredentialOut(Out):
    """What credential a service takes."""

    kind: str
    fields: list[str]
    hint: str


class PresetOut(Out):
    """A service that targets are made for.

    ``base_url`` is only an example where ``own_host`` says that each installation gives its own;
    ``oauth`` says that an account can be connected with OAuth 2 instead of the credential.
    """

    name: str
    title: str
    description: str
    documentation: str
    base_url: str
    own_host: bool
    oauth: bool
    credential: PresetCredentialOut
    headers: dict[str, str]

    @classmethod
    def of(cls, preset: Preset) -> "PresetOut":
        """Return the answer for a preset."""
        known = preset.credential
        return cls(
            name=preset.name,
            title=preset.title,
            description=preset.description,
            documentation=preset.documentation,
            base_url=preset.base_url,
            own_host=preset.own_host,
            oauth=preset.oauth is not None,
            credential=PresetCredentialOut(
                kind=known.kind, fields=list(known.fields), hint=known.hint
            ),
            headers=dict(preset.headers),
        )


class PresetList(Out):
    """All presets by name."""

    items: list[PresetOut]


def check_by_hand(body: TargetIn) -> None:
    """Refuse what only a preset gives a meaning to.

    :raises InvalidField: with a pointer to it.
    """
    for name in _BY_PRESET:
        if getattr(body, name):
            message = f"{name} goes with a preset; GET /api/presets lists them"
            raise InvalidField(message, pointer=f"/{name}")
    for name in ("name", "base_url") if body.settings.ssh is None else ("name",):
        if not getattr(body, name):
            message = f"give {name}, or a preset"
            raise InvalidField(message, pointer=f"/{name}")


def wanted_of(body: TargetIn) -> Wanted:
    """Return what a body asks of a preset.

    :raises InvalidField: it gives what follows from the preset.
    """
    for name in _BY_HAND:
        if getattr(body, name):
            message = f"{name} follows from the preset; leave it out"
            raise InvalidField(message, pointer=f"/{name}")
    return Wanted(
        preset=body.preset,
        account=body.account,
        base_url=body.base_url,
        description=body.description,
        fields=body.fields,
        client_id=body.client_id,
        client_secret=body.client_secret,
        settings=body.settings.value(),
        enabled=body.enabled,
        grant_agents=body.grant_agents,
    )
