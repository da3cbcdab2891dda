"""The shapes of discovery at the wire."""

from app.services.discovery import Overview, Usable
from app.web.models import Out


class CallsOut(Out):
    """What becomes of calls with one method: of pass, ask and deny those that can follow."""

    method: str
    outcomes: list[str]


class UsableOut(Out):
    """A target that the key may use."""

    name: str
    description: str
    gateway: str
    calls: list[CallsOut]
    paths: list[str]
    rate: str
    stopped: bool
    ssh: str

    @classmethod
    def of(cls, target: Usable) -> "UsableOut":
        """Return the answer for a target."""
        return cls(
            name=target.name, description=target.description, gateway=target.gateway,
            calls=[CallsOut(method=one.method, outcomes=list(one.outcomes))
                   for one in target.calls],
            paths=list(target.paths), rate=target.rate, stopped=target.stopped, ssh=target.ssh,
        )  # fmt: skip


class DoorsOut(Out):
    """Where things are asked and read."""

    requests: str
    skill: str
    readme: str
    openapi: str


class LimitsOut(Out):
    """What the key's calls and the agent's requests are bounded by."""

    calls_per_minute: int | None
    requests: str
    pending: int


class DiscoveryOut(Out):
    """What a key may use."""

    base_url: str
    agent: str
    doors: DoorsOut
    may_create: bool
    may_read: bool
    targets: list[UsableOut]
    limits: LimitsOut

    @classmethod
    def of(cls, seen: Overview) -> "DiscoveryOut":
        """Return the answer for an overview."""
        base = seen.base_url
        doors = DoorsOut(
            requests=f"{base}/api/requests", skill=f"{base}/api/skill",
            readme=f"{base}/api/readme", openapi=f"{base}/openapi.json",
        )  # fmt: skip
        limits = LimitsOut(
            calls_per_minute=seen.key_rate, requests=seen.agent_rate, pending=seen.pending
        )
        return cls(
            base_url=base, agent=seen.agent, doors=doors, may_create=seen.may_create,
            may_read=seen.may_read, targets=[UsableOut.of(one) for one in seen.targets],
            limits=limits,
        )  # fmt: skip
