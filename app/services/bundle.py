"""All services together, as doors and workers are handed them."""

from dataclasses import dataclass

from app.clock import Ids, SystemClock
from app.core.ports import Inbound
from app.services.access import Access
from app.services.accounts import Accounts
from app.services.agents import Agents
from app.services.announcements import Announcements
from app.services.audit import Audit
from app.services.backlog import Backlog
from app.services.bodies import Bodies
from app.services.breakers import Breakers
from app.services.bundles import Bundles
from app.services.cards import Cards
from app.services.connections import Connections
from app.services.couriers import Couriers
from app.services.decisions import Decisions
from app.services.desk import Desk
from app.services.discovery import Discovery
from app.services.execution import Execution
from app.services.feed import Feed
from app.services.host_keys import HostKeys
from app.services.inbox import Inbox
from app.services.inline import Inline
from app.services.intake import Intake
from app.services.limits import Limits
from app.services.links import Links
from app.services.markers import Markers
from app.services.notices import Notices
from app.services.once import Once
from app.services.people import People
from app.services.policies import Policies
from app.services.presets import Presets
from app.services.reach import Reach
from app.services.requests import Requests
from app.services.ssh import Ssh
from app.services.sweeps import Sweeps
from app.services.targets import Targets
from app.services.vault import Vault
from app.services.webhooks import Webhooks
from app.settings import Settings
from app.store.engine import Store


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that doors and workers call."""

    settings: Settings
    store: Store
    clock: SystemClock
    ids: Ids
    access: Access
    people: People
    agents: Agents
    once: Once
    targets: Targets
    host_keys: HostKeys
    vault: Vault
    connections: Connections
    presets: Presets
    policies: Policies
    limits: Limits
    breakers: Breakers
    discovery: Discovery
    intake: Intake
    requests: Requests
    inbox: Inbox
    decisions: Decisions
    execution: Execution
    inline: Inline
    ssh: Ssh
    markers: Markers
    bundles: Bundles
    sweeps: Sweeps
    feed: Feed
    audit: Audit
    bodies: Bodies
    cards: Cards
    notices: Notices
    reach: Reach
    announcements: Announcements
    couriers: Couriers
    links: Links
    desk: Desk
    webhooks: Webhooks
    accounts: Accounts
    backlog: Backlog
    inbounds: tuple[Inbound, ...] = ()
