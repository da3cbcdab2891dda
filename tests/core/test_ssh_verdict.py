from dataclasses import replace

import pytest
from msgspec import structs

from app.core.action import BoundTarget, PlainAction, Submission, Urgency
from app.core.policy import Effect
from app.core.ssh_action import SshAction, SshExec, SshGet, SshPlace, SshPut
from app.core.ssh_verdict import Wanted, command_verdict, guarded
from app.core.verdict import Verdict
from app.services.profiles import load

RULES = load()
ALLOW = Verdict(Effect.ALLOW, "pol", "policy", 1, "rule", ("the rule matched",))
REVIEW, DENY = replace(ALLOW, effect=Effect.REVIEW), replace(ALLOW, effect=Effect.DENY)


def verdict(command: str, wanted: Wanted = Wanted(), before: Verdict = ALLOW) -> Verdict:  # noqa: B008
    return command_verdict(before, command, wanted, RULES)


@pytest.mark.requirement("SSH-5", "T41")
def test_the_strictest_word_counts() -> None:
    assert verdict("uptime") == ALLOW
    asked = verdict("rm -rf /srv/data")
    assert asked.effect is Effect.REVIEW
    assert asked.reasons[-1] == "the rule matched" and len(asked.reasons) > 1
    assert "destructive" in asked.tags
    denied = verdict("rm -rf /")
    assert denied.effect is Effect.DENY
    assert verdict("rm -rf /", before=DENY).effect is Effect.DENY
    assert verdict("uptime", before=REVIEW) == REVIEW
    assert len(verdict("rm -rf /srv/data", before=REVIEW).reasons) > 1


@pytest.mark.requirement("SSH-3", "T41")
def test_what_cannot_be_explained_is_never_allowed_by_itself() -> None:
    assert verdict("$(cat x)").effect is Effect.REVIEW
    for only in (False, True):
        assert verdict("$(cat x)", Wanted(("readonly",), only)).effect is not Effect.ALLOW


@pytest.mark.requirement("SSH-3")
def test_profiles_bound_what_is_allowed() -> None:
    missing = verdict("uptime", Wanted(("no-such",)))
    assert missing.effect is Effect.REVIEW
    assert "There is no profile 'no-such'." in missing.reasons
    assert verdict("uptime", Wanted(("no-such",), only=True)).effect is Effect.DENY
    assert verdict("uptime", Wanted((), only=True)).effect is Effect.DENY


@pytest.mark.requirement("SSH-3")
def test_a_command_has_to_pass_what_the_target_and_the_key_name() -> None:
    host, logs = ("readonly-safe",), ("logs-readonly",)
    assert verdict("uptime", Wanted(host)).effect is Effect.ALLOW
    assert verdict("uptime", Wanted(host, of_key=logs)).effect is Effect.REVIEW
    assert verdict("uptime", Wanted(logs, of_key=host)).effect is Effect.REVIEW
    assert verdict("uptime", Wanted(host, only=True, of_key=logs)).effect is Effect.DENY
    assert verdict("uptime", Wanted(of_key=logs)).effect is Effect.REVIEW
    assert verdict("uptime", Wanted(of_key=(*logs, *host))).effect is Effect.ALLOW
    for both in (Wanted(host, of_key=logs), Wanted(logs, of_key=host)):
        assert verdict("tail -5 /var/log/syslog", both).effect is Effect.ALLOW
    gone = verdict("uptime", Wanted(host, of_key=("no-such",)))
    assert "There is no profile 'no-such'." in gone.reasons


def test_commands_and_files_are_judged_alike() -> None:
    def submission(action: SshAction | PlainAction) -> Submission:
        place = SshPlace("h", 22, "u", (), profiles=("no-such",))
        target = BoundTarget("tgt", "db", "ssh://u@h:22", 1, place)
        return Submission("agt", action, target, Urgency.NORMAL, "", {})

    assert guarded(ALLOW, submission(SshGet("/etc/shadow")), RULES).effect is Effect.DENY
    for path in ("/root/.bashrc", "/etc/cron.d/x", "/srv/app/data"):
        put = submission(SshPut(path, b"x"))
        assert guarded(ALLOW, put, RULES).effect is not Effect.ALLOW
    free = structs.replace(submission(SshPut("/tmp/x", b"x")), target=None)
    assert guarded(ALLOW, free, RULES).effect is Effect.ALLOW
    assert guarded(ALLOW, submission(PlainAction("x", {})), RULES) == ALLOW
    assert guarded(ALLOW, submission(SshExec("uptime")), RULES).effect is Effect.REVIEW
    assert guarded(DENY, submission(SshExec("uptime")), RULES) == DENY
