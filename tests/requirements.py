"""What the product promises: id, sentence, source. Tests carry the ids.

Sources: S1 Shellgate, S2 agentkitai AgentGate, S3 monteslu agentgate, S4 Aegis-SSH-MCP,
S5 iamdainwi AgentGate, "threats" the threat model, "new" what none of them has.
``tests/house/test_requirements.py`` keeps this file and the tests in step, both ways.
"""

from typing import NamedTuple


class Promise(NamedTuple):
    """One promise."""

    sentence: str
    source: str


PROMISES: dict[str, Promise] = {
    # --- people and agents ---
    "KEY-1": Promise(
        "API keys are random, shown once, stored as a hash; they can be listed, renamed, revoked, "
        "rotated with a grace period, bound to addresses and given an end.",
        "S1 S2 S3",
    ),
    "KEY-2": Promise(
        "Scopes and permissions per target limit a key; one that creates can never decide.",
        "S1 S2 new",
    ),
    "KEY-3": Promise(
        "A key's calls are limited per minute, with headers that say how much is left.", "S2"
    ),
    "KEY-4": Promise("An agent has an owner and a cap on open requests; it can be frozen.", "new"),
    "PPL-1": Promise(
        "People sign in to sessions that end when idle, in any case, or when revoked; roles bound "
        "what they may do.",
        "S1 S2 new",
    ),
    "PPL-3": Promise(
        "The first administrator is made with a token that is printed once; then set-up is closed.",
        "S1 S3",
    ),
    # --- the request ---
    "REQ-1": Promise(
        "A request is made from strict JSON, once per Idempotency-Key, and answered with status, "
        "verdict and links.",
        "S2",
    ),
    "REQ-2": Promise(
        "The canonical form and its digest bind decision, grant and execution.", "new"
    ),
    "REQ-3": Promise("Requests are read, filtered and paged; an agent sees only its own.", "S2"),
    "REQ-4": Promise("A caller can wait: long poll, Prefer: wait, SSE.", "S2 new"),
    "REQ-5": Promise("The requester can withdraw a request.", "S3"),
    "REQ-6": Promise("A request and an approval each expire, by the clock of the database.", "new"),
    # --- policy ---
    "POL-1": Promise(
        "Policies are tried by priority, the first match wins; no match and every error is review.",
        "S2 S5",
    ),
    "POL-2": Promise(
        "Typed matchers look at params, target, agent, time and network, in three values.", "S2 S5"
    ),
    "POL-3": Promise("A CEL expression says what matchers can't, within limits.", "S5"),
    "POL-8": Promise(
        "A dry run tells of every rule why it did or did not match, and changes nothing.", "S2 new"
    ),
    "LIM-1": Promise(
        "Token buckets limit requests of all, an agent, a target and a rule, exactly over all "
        "servers; a circuit breaker stops calls at a target that fails.",
        "S5",
    ),
    "GW-5": Promise(
        "By one tick reads pass at a target, writes ask and deletions are marked; lists of a "
        "target's and a key's calls hold before policy and when a call runs, in any spelling.",
        "S1 S3",
    ),
    "SVC-1": Promise(
        "A preset of each service says which calls pass, ask, are marked or are refused; its "
        "examples are tests.",
        "S3 S1",
    ),
    "SVC-3": Promise(
        "Discovery, a skill and an overview tell an agent what its key may use, nothing more.",
        "S3 S1",
    ),
    # --- decisions and execution ---
    "DEC-1": Promise(
        "One conditional write decides; the loser is told the outcome that stands.", "S2"
    ),
    "DEC-2": Promise(
        "Only entitled people decide: not the requester and, by default, not its owner.", "S2 new"
    ),
    "DEC-9": Promise("Several requests are decided at once, on a frozen selection.", "new"),
    "EXE-1": Promise(
        "Workers execute at most once; a lost one after sending leaves `unknown` for a person.",
        "new",
    ),
    "SSH-1": Promise(
        "A command runs over SSH exactly as it was approved, once, within its limits of time and "
        "output; exit code, signal, stdout, stderr and what was cut are reported.",
        "S1 S4",
    ),
    "SSH-2": Promise(
        "Host keys are pinned once a person confirmed them; with another key, or none, nothing is "
        "sent and people are told.",
        "S4",
    ),
    "SSH-4": Promise(
        "Where an agent names the host, it must be within networks and patterns, with a known key.",
        "S4",
    ),
    "SSH-3": Promise(
        "Commands are taken apart; what a profile does not permit wholly is never allowed by "
        "itself, and what cannot be explained neither.",
        "S4",
    ),
    "SSH-5": Promise(
        "A guard asks for destructive commands and denies hostile ones, whatever policy allows; a "
        "denial says that it is one.",
        "S1 S4",
    ),
    "SSH-7": Promise(
        "A command whose end nobody saw is looked up by the marker that it left on its host; what "
        "ended is settled by that, an absent marker settles nothing, and nothing runs again.",
        "+",
    ),
    "SSH-6": Promise(
        "Jump hosts are pinned like hosts; files are read and written with size caps and digests.",
        "new",
    ),
    "EXE-7": Promise(
        "What people approved and what asks people wait for nothing else; agents take turns, and "
        "how much waits is shown.",
        "new",
    ),
    "EXE-2": Promise(
        "Results are redacted, bounded, kept sealed for a set time, and fetched by the owner.",
        "S1 S3",
    ),
    "GW-1": Promise(
        "Answers are passed on while they come, bodies of any size pass with flat memory.", "S1 S3"
    ),
    "GW-2": Promise(
        "Calls through the gateway run inline, wait for a person, or are denied.", "S1 S3"
    ),
    "GW-3": Promise(
        "Credentials are put into the outgoing call: bearer, basic, headers, query, body fields, "
        "JWT, HMAC, AWS signatures, client certificates; several for a target by method and path.",
        "S1 new",
    ),
    "GW-4": Promise(
        "Targets can't be left: address, redirect, path and header rules.", "S2 threats"
    ),
    "SVC-2": Promise(
        "Accounts at services are connected by OAuth 2 with PKCE and state; tokens are renewed "
        "once for all who wait, rotated ones are kept, and how each account stands is shown.",
        "S3 S1",
    ),
    "VLT-1": Promise("Secrets are sealed with rotating keys and never leave to agents.", "S1"),
    "VLT-2": Promise(
        "Credentials and handles are opened inside the executor, at granted targets only, and "
        "redacted from what comes back; agents find handles by domain.",
        "S1",
    ),
    # --- record, dashboard, operations ---
    "AUD-1": Promise(
        "Requests, verdicts, votes, executions, administration and failed authentications are "
        "recorded and searchable.",
        "S1 S2 S5",
    ),
    "DASH-1": Promise("People do on pages what the API does.", "all"),
    "DASH-2": Promise(
        "Pages work live, without JavaScript, by keyboard, on a phone, and to WCAG 2.2 AA.",
        "S2 new",
    ),
    "OPS-1": Promise(
        "SQLite by default, PostgreSQL by URL; migrations run at start under a lock.", "S2"
    ),
    "OPS-2": Promise(
        "Settings come from the environment or files; unknown names stop the start.", "S2 S5"
    ),
    "OPS-3": Promise("Health and readiness can be asked for.", "S5 S1"),
    # --- threats ---
    "T1": Promise("What runs is what was approved: any change in between is refused.", "threats"),
    "T2": Promise("Nothing that an agent sends can count as an approval.", "threats"),
    "T3": Promise("The digest covers everything that shapes the run.", "threats"),
    "T4": Promise("Nothing that is approved is hidden by cutting it off.", "threats"),
    "T5": Promise("Hidden and confusable characters are made visible.", "threats"),
    "T6": Promise("Agent text can't break out of its place or fake a page.", "threats"),
    "T7": Promise("What the agent claims looks different from what the gateway knows.", "threats"),
    "T8": Promise("Control sequences reach no terminal, log or page.", "threats"),
    "T13": Promise("A foreign page can't act with a signed-in person's session.", "threats"),
    "T14": Promise("Pages can't be framed.", "threats"),
    "T21": Promise("Nobody approves what they asked for.", "threats"),
    "T22": Promise("Who decides comes from authentication, never from the body.", "threats"),
    "T23": Promise("No key or role can raise its own rights.", "threats"),
    "T24": Promise("Fields of the server can't be set from outside; types are strict.", "threats"),
    "T25": Promise("What belongs to another agent answers like what does not exist.", "threats"),
    "T26": Promise("A decider's rights are read when the vote is written.", "threats"),
    "T27": Promise("Two decisions at once: one wins, the other is told.", "threats"),
    "T28": Promise("Decided or expired, never both; expired is never run.", "threats"),
    "T29": Promise("Crash, retry or two workers: nothing runs twice.", "threats"),
    "T30": Promise("One person has one vote; one denial ends it.", "threats"),
    "T31": Promise("Answers and their time tell nothing about keys and accounts.", "threats"),
    "T33": Promise("Host and forwarding headers are believed only where configured.", "threats"),
    "T34": Promise("Params can't pose as facts of the gateway.", "threats"),
    "T35": Promise("Odd types and missing fields never match an allow.", "threats"),
    "T36": Promise("JSON that two parsers read differently is refused.", "threats"),
    "T37": Promise("No pattern can hang the server.", "threats"),
    "T38": Promise("Whatever fails in a policy leads to a person.", "threats"),
    "T39": Promise("The order of creation never changes a verdict.", "threats"),
    "T40": Promise("A tightened policy reaches what is pending or not yet run.", "threats"),
    "T43": Promise("Policy and upstream see the same path.", "threats"),
    "T44": Promise("A redirect is not followed and takes no secret along.", "threats"),
    "T45": Promise("Agents can't smuggle headers, and none of theirs leak.", "threats"),
    "T46": Promise("A call that is framed in two ways is refused.", "threats"),
    "T59": Promise("What comes from outside is shown and given as data alone.", "threats"),
    "T60": Promise("No upgrade of a connection gets past the policy.", "threats"),
    "T47": Promise("A secret that comes back is redacted in each of its encodings.", "threats"),
    "T48": Promise("Bombs and slow upstreams end at a limit.", "threats"),
    "T49": Promise("Every address is checked, and the checked one is connected to.", "threats"),
    "T41": Promise(
        "A guard takes commands apart; what it cannot explain is never allowed by itself.",
        "threats",
    ),
    "T50": Promise("The exact text that was shown is what the remote shell reads.", "threats"),
    "T51": Promise("A host without its pinned key gets no secret and no command.", "threats"),
    "T52": Promise(
        "Nothing of our own user reaches a host: no configuration, agent, key or environment.",
        "threats",
    ),
    "T53": Promise(
        "Endless output and endless commands are bounded, there as well as here.", "threats"
    ),
    "T62": Promise("Secrets appear in no log, error or representation.", "threats"),
    "T67": Promise("Bodies, waiting calls and queues have bounds.", "threats"),
    "T15": Promise("A sign-in makes a new session; it can be ended from the server.", "threats"),
    "T32": Promise("There are no default secrets, and set-up can't be taken over.", "threats"),
    "T61": Promise("Sealed values are bound to their row and purpose.", "threats"),
    "T42": Promise("Splitting requests gets no further than a limit.", "threats"),
    "T66": Promise("Rate limits hold for parallel calls.", "threats"),
    "T68": Promise("Key and database files can be read by their owner alone.", "threats"),
    "T69": Promise("A committed change survives a crash on SQLite too.", "threats"),
    "T71": Promise("A jumping clock of a machine neither expires nor revives anything.", "threats"),
    "T64": Promise(
        "Nothing that Assentry does edits or shortens the record, and the database refuses it.",
        "threats",
    ),
    "T63": Promise("A secret goes only to targets that it was granted for.", "threats"),
    "T65": Promise("What can't be recorded does not happen.", "threats"),
    # --- people and notices ---
    "POL-4": Promise(
        "A rule can demand a reason, a tag, or a stronger proof of who decides; it can limit what "
        "it lets through and mask parts of answers.",
        "S5",
    ),
    "REQ-7": Promise("An identical request that still waits is not asked for twice.", "new"),
    "DEC-3": Promise(
        "Seats are filled by different people; rules that nobody could satisfy are refused.", "S3"
    ),
    "DEC-4": Promise("Each channel has a level of assurance; a weaker vote is a comment.", "new"),
    "DEC-6": Promise("A ladder asks more people with time; it never approves.", "S2"),
    "PPL-4": Promise("Somebody who is away names who decides meanwhile.", "new"),
    "RISK-1": Promise("Declared factors make an explained score that only ever raises.", "new"),
    "HOOK-1": Promise("Webhooks are signed, retried for three days, and resent.", "S2 S3"),
    "HOOK-2": Promise("Agent runtimes are woken in their own format.", "S3"),
    "PPL-2": Promise("Accounts in channels are linked to people; others are refused.", "threats"),
    "CH-1": Promise("Slack shows the card and takes votes, over HTTP or its socket.", "S2"),
    "CH-2": Promise("Discord shows the card and takes votes, over its gateway or HTTP.", "S2"),
    "CH-3": Promise("Mail says the same as text and as HTML, in one thread a request.", "S2"),
    "CH-4": Promise("A signed link shows on GET and decides on POST, once.", "S2"),
    "CH-5": Promise("One renderer: what is seen is what is approved.", "new"),
    "CH-6": Promise("Messages are rows: retried, converging, counted, and calm.", "new"),
    "CH-7": Promise("People choose what they are told where.", "S2 S3"),
    "T10": Promise("Prefetching a link changes nothing.", "threats"),
    "T11": Promise("A link is bound, works once, and cannot be made up.", "threats"),
    "T12": Promise("Risk and policy ask for more than a link.", "threats"),
    "T9": Promise("People are not flooded with notices.", "threats"),
    "T16": Promise("Slack's calls are signed, fresh, not repeated, and meant for us.", "threats"),
    "T17": Promise("Only linked accounts decide in channels.", "threats"),
    "T18": Promise("Discord's posts are signed, fresh, and meant for us.", "threats"),
    "T20": Promise("No field of a request becomes a header of a mail.", "threats"),
    # --- the gateway ---
    "REQ-8": Promise(
        "Several calls in one request run in order, each at most once, without those left out.",
        "S3",
    ),
    "SVC-4": Promise("Writes at an account are queued, listed, followed and withdrawn.", "S3"),
}
"""Promises that tests show."""

PLANNED: dict[str, Promise] = {}
"""Promises whose tests are still to be written; a test that carries one moves it up."""
