"""The table of all operations: adding one is a handler and a row."""

from typing import Any, Final

from app.core.policy import policy_json_schema
from app.web import queue, sse, ssh
from app.web.api import (
    accounts,
    agents,
    audit,
    connections,
    credentials,
    discovery,
    health,
    people,
    policies,
    presets,
    requests,
    selections,
    session,
    targets,
    webhooks,
)
from app.web.contract import Operation, Query
from app.web.filters import MAX_LIMIT, MAX_WAIT
from app.web.models import (
    AuditPage,
    CardOut,
    DecisionIn,
    DryRunIn,
    HealthOut,
    NoteIn,
    PolicyList,
    PolicyOut,
    PolicyUpdateIn,
    QueueIn,
    RequestIn,
    RequestOut,
    RequestPage,
    ResultOut,
    SelectionIn,
    SelectionOut,
    SettleIn,
    VersionList,
)
from app.web.models_connections import (
    ClientIn,
    ConnectionIn,
    ConnectionList,
    ConnectionOut,
    ConsentOut,
    DisconnectedOut,
)
from app.web.models_directory import (  # fmt: skip
    AgentIn,
    AgentList,
    AgentOut,
    AgentUpdateIn,
    BreakerOut,
    InstallationIn,
    InstallationOut,
    KeyIn,
    KeyList,
    KeyNameIn,
    KeyOut,
    NewKeyOut,
    PasswordIn,
    PersonIn,
    PersonList,
    PersonOut,
    PersonUpdateIn,
    RotateIn,
    SessionOut,
    SignInIn,
    TargetIn,
    TargetList,
    TargetOut,
    TargetUpdateIn,
)
from app.web.models_discovery import DiscoveryOut
from app.web.models_notices import (  # fmt: skip
    AttemptList,
    ChannelList,
    DelegationIn,
    DelegationList,
    DelegationOut,
    DeliveryPage,
    GroupIn,
    GroupList,
    GroupOut,
    IdentityIn,
    IdentityList,
    IdentityOut,
    NewWebhookOut,
    PreferenceIn,
    PreferencesOut,
    ResendIn,
    ResentOut,
    SecretOut,
    WebhookIn,
    WebhookList,
    WebhookOut,
    WebhookUpdateIn,
)
from app.web.models_presets import PresetList
from app.web.models_ssh import (
    CommandIn,
    CommandOut,
    FileOut,
    FileReadIn,
    FileWriteIn,
    HostIn,
    HostKeyIn,
    MarkerOut,
    ShownKeyOut,
)
from app.web.models_vault import (  # fmt: skip
    CredentialIn,
    CredentialList,
    CredentialOut,
    CredentialUpdateIn,
    GrantIn,
    GrantList,
    HandlesList,
)

_TEXT: Final = {"type": "string"}
_LIMIT: Final = Query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT})
_CURSOR: Final = Query("cursor", _TEXT)
_FILTERS: Final = (
    Query("status", _TEXT), Query("action", _TEXT),
    Query("agent", {"type": "string", "pattern": "^agt_"}),
    Query("target", {"type": "string", "pattern": "^tgt_"}), Query("urgency", {"enum": ["low", "normal", "high", "critical"]}),
    Query("created_from", {"type": "string", "format": "date-time"}),
    Query("created_to", {"type": "string", "format": "date-time"}), _LIMIT, _CURSOR,
)  # fmt: skip
_QUEUED: Final = tuple(query for query in _FILTERS if query.name != "action")
_WAIT: Final = (
    Query("wait", {"type": "integer", "minimum": 0, "maximum": MAX_WAIT}),
    Query("until", {"enum": ["final", "decided"]}),
)
_ASK: Final = (
    Query("Idempotency-Key", {"type": "string", "minLength": 1, "maxLength": 255}, "header"),
    Query("Prefer", _TEXT, "header"),
)
_OBJECT: Final[dict[str, Any]] = {"type": "object"}
_MARKDOWN: Final = "text/markdown"
_STREAM: Final = "text/event-stream"
_R, _R1 = "/api/requests", "/api/requests/{request_id}"
_Q, _Q1, _Q2 = "/api/queue", "/api/queue/{target}", "/api/queue/{service}/{account}"
_S1: Final = "/ssh/{target}"
_P, _P1 = "/api/policies", "/api/policies/{policy_id}"
_T, _T1 = "/api/targets", "/api/targets/{target_id}"
_C, _C1 = "/api/credentials", "/api/credentials/{credential_id}"
_N, _N1 = "/api/connections", "/api/connections/{credential_id}"
_A, _A1 = "/api/agents", "/api/agents/{agent_id}"
_K, _K1 = "/api/keys", "/api/keys/{key_id}"
_W, _W1 = "/api/webhooks", "/api/webhooks/{webhook_id}"
_G, _G1 = "/api/groups", "/api/groups/{group_id}"
_RECORD: Final = (
    Query("event", _TEXT),
    Query("actor", _TEXT),
    Query("subject", _TEXT),
    Query("from", {"type": "string", "format": "date-time"}),
    Query("until", {"type": "string", "format": "date-time"}),
    _LIMIT,
    _CURSOR,
)
_LOG: Final = (
    Query("state", {"enum": ["due", "done", "held", "dead", "skipped"]}),
    Query("before", _TEXT),
    _LIMIT,
)
_H, _H1 = "/api/people", "/api/people/{person_id}"

# fmt: off
OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation("POST", _R, requests.create, "Ask for an action", RequestOut, RequestIn, _ASK, (201, 202), (404, 422)),
    Operation("GET", _R, requests.page, "List requests, newest first", RequestPage, query=_FILTERS),
    Operation("GET", _R1, requests.get, "Read a request, or wait for it", RequestOut, query=_WAIT),
    Operation("GET", f"{_R1}/card", requests.card, "Read the card that people decide on", CardOut),
    Operation("POST", f"{_R1}/decide", requests.decide, "Approve or deny", RequestOut, DecisionIn),
    Operation("POST", "/api/decisions", selections.decide, "Approve or deny a frozen selection", SelectionOut, SelectionIn),
    Operation("POST", f"{_R1}/cancel", requests.cancel, "Withdraw", RequestOut, NoteIn, body_required=False),
    Operation("POST", f"{_R1}/settle", requests.settle, "Say whether an unknown outcome ran", RequestOut, SettleIn),
    Operation("POST", f"{_R1}/reconcile", requests.reconcile, "Look at the marker of a command with unknown outcome", MarkerOut),
    Operation("GET", f"{_R1}/result", requests.result, "Read the upstream's answer", ResultOut),
    Operation("GET", f"{_R1}/items/{{number}}/result", requests.call_result, "Read the upstream's answer to a call of a bundle", ResultOut),
    Operation("GET", f"{_R1}/audit", requests.trail, "Read the request's part of the record", AuditPage),
    Operation("GET", f"{_R1}/events", sse.request_events, "Follow a request", str, media_type=_STREAM),
    Operation("GET", "/api/events", sse.api_events, "Follow everything (people)", str, media_type=_STREAM),
    Operation("GET", _Q, queue.index, "List the write queue, newest first", RequestPage, query=_QUEUED),
    Operation("POST", f"{_Q1}/submit", queue.submit, "Put writes at a target into the queue", RequestOut, QueueIn, _ASK[:1], (201, 202), (422,)),
    Operation("GET", f"{_Q1}/status/{{request_id}}", queue.status, "Read how a submission stands", RequestOut),
    Operation("POST", f"{_Q1}/status/{{request_id}}/withdraw", queue.withdraw, "Take a submission back", RequestOut, NoteIn),
    Operation("POST", f"{_Q2}/submit", queue.submit_account, "Put writes at an account into the queue", RequestOut, QueueIn, _ASK[:1], (201, 202), (422,)),
    Operation("GET", f"{_Q2}/status/{{request_id}}", queue.status_account, "Read how a submission at an account stands", RequestOut),
    Operation("POST", f"{_Q2}/status/{{request_id}}/withdraw", queue.withdraw_account, "Take a submission at an account back", RequestOut, NoteIn),
    Operation("POST", f"{_S1}/exec", ssh.execute, "Run a command at an SSH target", CommandOut, CommandIn, _ASK, (200, 202), (404, 422, 502), accepted=RequestOut),
    Operation("POST", f"{_S1}/files/read", ssh.read_file, "Read a file at an SSH target", FileOut, FileReadIn, _ASK, (200, 202), (404, 422, 502), accepted=RequestOut),
    Operation("POST", f"{_S1}/files/write", ssh.write_file, "Write a file at an SSH target", FileOut, FileWriteIn, _ASK, (200, 202), (404, 422, 502), accepted=RequestOut),
    Operation("GET", _P, policies.index, "List policies in the order of evaluation", PolicyList),
    Operation("POST", _P, policies.create, "Create a policy", PolicyOut, policy_json_schema(), statuses=(201,)),
    Operation("POST", f"{_P}/dry-run", policies.dry_run, "Try the policies on a request, with reasons", _OBJECT, DryRunIn),
    Operation("GET", f"{_P}/schema", policies.schema, "Read the JSON schema of a policy", _OBJECT),
    Operation("GET", _P1, policies.get, "Read a policy", PolicyOut),
    Operation("PUT", _P1, policies.update, "Change a policy", PolicyOut, PolicyUpdateIn),
    Operation("DELETE", _P1, policies.delete, "Remove a policy", statuses=(204,)),
    Operation("GET", f"{_P1}/versions", policies.versions, "List a policy's versions", VersionList),
    Operation("GET", f"{_P1}/versions/{{version}}", policies.version, "Read one version's document", policy_json_schema()),
    Operation("GET", _T, targets.index, "List targets", TargetList),
    Operation("POST", _T, targets.create, "Create a target", TargetOut, TargetIn, statuses=(201,), refusals=(404,)),
    Operation("GET", "/api/presets", presets.index, "List the services that there are presets for", PresetList),
    Operation("GET", _T1, targets.get, "Read a target", TargetOut),
    Operation("PATCH", _T1, targets.update, "Change a target", TargetOut, TargetUpdateIn),
    Operation("GET", f"{_T1}/breaker", targets.breaker, "Whether calls at a target are stopped", BreakerOut),
    Operation("POST", f"{_T1}/breaker/close", targets.close_breaker, "Let calls at a target pass now", statuses=(204,)),
    Operation("POST", f"{_T1}/host-key/look", targets.look_at_host_key, "Read the key that an SSH host shows now", ShownKeyOut, HostIn),
    Operation("POST", f"{_T1}/host-key", targets.enrol_host_key, "Pin a host key that a person has compared", TargetOut, HostKeyIn),
    Operation("DELETE", _T1, targets.delete, "Remove a target", statuses=(204,)),
    Operation("GET", _C, credentials.index, "List credentials, without values", CredentialList),
    Operation("POST", _C, credentials.create, "Create a credential", CredentialOut, CredentialIn, statuses=(201,)),
    Operation("GET", _C1, credentials.get, "Read a credential, without values", CredentialOut),
    Operation("PATCH", _C1, credentials.update, "Change a credential", CredentialOut, CredentialUpdateIn),
    Operation("DELETE", _C1, credentials.delete, "Remove a credential", statuses=(204,)),
    Operation("GET", f"{_C1}/grants", credentials.grants, "List where it may be used", GrantList),
    Operation("POST", f"{_C1}/grants", credentials.grant, "Let it be used", body=GrantIn, statuses=(204,)),
    Operation("POST", f"{_C1}/grants/revoke", credentials.revoke, "Let it be used no more", body=GrantIn, statuses=(204,)),
    Operation("GET", "/api/vault/search", credentials.search, "Find the handles that this agent may use", HandlesList, query=(Query("domain", _TEXT),)),
    Operation("GET", _N, connections.index, "List connections of accounts at services, and how they stand", ConnectionList),
    Operation("POST", _N, connections.create, "Create a connection; nobody has consented yet", ConnectionOut, ConnectionIn, statuses=(201,)),
    Operation("PUT", _N1, connections.replace, "Replace client and addresses; it must be connected again", ConnectionOut, ClientIn),
    Operation("POST", f"{_N1}/connect", connections.connect, "Begin a consent; the answer says where a person gives it", ConsentOut),
    Operation("POST", f"{_N1}/disconnect", connections.disconnect, "Forget the tokens, and give them back", DisconnectedOut),
    Operation("GET", _A, agents.index, "List agents", AgentList),
    Operation("POST", _A, agents.create, "Create an agent", AgentOut, AgentIn, statuses=(201,), refusals=(404,)),
    Operation("GET", _A1, agents.get, "Read an agent", AgentOut),
    Operation("PATCH", _A1, agents.update, "Change, freeze or release an agent", AgentOut, AgentUpdateIn),
    Operation("GET", _K, agents.keys, "List keys", KeyList, query=(Query("agent_id", _TEXT), Query("person_id", _TEXT))),
    Operation("POST", _K, agents.create_key, "Create a key; its secret is shown this once", NewKeyOut, KeyIn, statuses=(201,), refusals=(404,)),
    Operation("PATCH", _K1, agents.rename_key, "Rename a key", KeyOut, KeyNameIn),
    Operation("POST", f"{_K1}/revoke", agents.revoke_key, "Revoke a key", KeyOut),
    Operation("POST", f"{_K1}/rotate", agents.rotate_key, "Replace a key", NewKeyOut, RotateIn, statuses=(201,)),
    Operation("GET", _H, people.index, "List people", PersonList),
    Operation("POST", _H, people.create, "Create a person", PersonOut, PersonIn, statuses=(201,)),
    Operation("GET", _H1, people.get, "Read a person", PersonOut),
    Operation("PATCH", _H1, people.update, "Change a person", PersonOut, PersonUpdateIn),
    Operation("POST", f"{_H1}/sessions/revoke", people.revoke_sessions, "End a person's sessions", statuses=(204,)),
    Operation("GET", "/api/identities", accounts.identities, "List accounts in channels: one's own, or all for administrators", IdentityList),
    Operation("POST", "/api/identities", accounts.link, "Link an account to a person", IdentityOut, IdentityIn, statuses=(201,), refusals=(404,)),
    Operation("DELETE", "/api/identities/{identity_id}", accounts.unlink, "Unlink an account", statuses=(204,)),
    Operation("GET", _G, accounts.groups, "List groups", GroupList),
    Operation("POST", _G, accounts.create_group, "Create a group", GroupOut, GroupIn, statuses=(201,), refusals=(404,)),
    Operation("PUT", _G1, accounts.update_group, "Replace a group and its members", GroupOut, GroupIn),
    Operation("DELETE", _G1, accounts.delete_group, "Remove a group", statuses=(204,)),
    Operation("GET", "/api/delegations", accounts.delegations, "List who stands in for whom", DelegationList),
    Operation("POST", "/api/delegations", accounts.delegate, "Let somebody take a place for a time", DelegationOut, DelegationIn, statuses=(201,), refusals=(404,)),
    Operation("DELETE", "/api/delegations/{delegation_id}", accounts.revoke_delegation, "End a delegation", statuses=(204,)),
    Operation("GET", "/api/preferences", accounts.preferences, "Read how one is told", PreferencesOut),
    Operation("PUT", "/api/preferences/{channel}", accounts.prefer, "Set how one is told in a channel", body=PreferenceIn, statuses=(204,)),
    Operation("GET", _W, webhooks.index, "List webhooks", WebhookList),
    Operation("POST", _W, webhooks.create, "Create a webhook; its secret is shown this once", NewWebhookOut, WebhookIn, statuses=(201,)),
    Operation("GET", _W1, webhooks.get, "Read a webhook", WebhookOut),
    Operation("PATCH", _W1, webhooks.update, "Change a webhook", WebhookOut, WebhookUpdateIn),
    Operation("DELETE", _W1, webhooks.delete, "Remove a webhook", statuses=(204,)),
    Operation("POST", f"{_W1}/rotate", webhooks.rotate, "Replace the secret; both sign for a day", SecretOut),
    Operation("GET", f"{_W1}/deliveries", webhooks.deliveries, "List what was sent, newest first", DeliveryPage, query=_LOG),
    Operation("GET", f"{_W1}/deliveries/{{delivery_id}}/attempts", webhooks.attempts, "List the tries of a delivery", AttemptList),
    Operation("POST", f"{_W1}/resend", webhooks.resend, "Send one delivery again, or all dead ones", ResentOut, ResendIn),
    Operation("GET", "/api/channels", webhooks.channels, "How the channels do", ChannelList),
    Operation("GET", "/api/undelivered", webhooks.undelivered, "List messages to people that were given up, newest first", DeliveryPage, query=_LOG[1:]),
    Operation("POST", "/api/undelivered/resend", webhooks.send_again, "Send one of them again, or all", ResentOut, ResendIn, refusals=(404,)),
    Operation("POST", "/api/password", people.change_password, "Change one's password", body=PasswordIn, statuses=(204,)),
    Operation("GET", "/api/installation", people.installation, "Read what holds for the installation", InstallationOut),
    Operation("PUT", "/api/installation", people.set_installation, "Change what holds for the installation", InstallationOut, InstallationIn),
    Operation("GET", "/discovery", discovery.index, "Read what the key may use", DiscoveryOut),
    Operation("GET", "/api/skill", discovery.skill, "Read it as a skill for an agent", str, media_type=_MARKDOWN),
    Operation("GET", "/api/readme", discovery.readme, "Read it as an overview", str, media_type=_MARKDOWN),
    Operation("GET", "/api/audit", audit.index, "Read the record, newest first", AuditPage, query=_RECORD),
    Operation("POST", "/api/session", session.sign_in, "Sign in; the answer sets the session's cookie", SessionOut, SignInIn, statuses=(201,), refusals=(400, 401, 403, 429, 503), public=True),
    Operation("DELETE", "/api/session", session.sign_out, "Sign out", statuses=(204,)),
    Operation("GET", "/health", health.health, "Whether the process is alive", HealthOut, refusals=(400,), public=True),
    Operation("GET", "/ready", health.ready, "Whether it can do its work", HealthOut, refusals=(400, 503), public=True),
)
# fmt: on
"""Every operation of the API, the hot ones first."""
