"""The errors of the house: seven families, each concrete class with a stable code.

    AssentryError
    ├── Invalid           the caller must change what it sent
    ├── Unauthenticated   the caller is not known
    ├── Forbidden         the caller is known and may not
    ├── NotFound          no such thing, or not the caller's
    ├── Conflict          the state of things forbids it
    ├── Limited           too much, too fast
    └── Unavailable       a part that we need does not answer

A family decides how a door answers (``web/problems.py`` for HTTP); a class carries the code and,
as its docstring, the default message.
"""

from collections.abc import Mapping
from typing import ClassVar


class AssentryError(Exception):
    """Something expected went wrong."""

    code: ClassVar[str] = "error"

    def __init__(
        self,
        detail: str = "",
        *,
        pointer: str = "",
        retry_after: float | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """Keep the message and what a caller needs to act.

        :param detail: what happened and what to do; the class docstring when empty.
        :param pointer: RFC 6901 JSON pointer of the offending input, when there is one.
        :param retry_after: seconds after which a retry makes sense.
        :param extra: further members for the answer; never a secret.
        """
        self.detail = detail or " ".join((self.__doc__ or "").split())
        self.pointer = pointer
        self.retry_after = retry_after
        self.extra: Mapping[str, object] = extra or {}
        super().__init__(self.detail)


class Invalid(AssentryError):
    """The input is not valid."""

    code = "invalid"


class Unauthenticated(AssentryError):
    """Authentication is needed: send a valid API key or sign in."""

    code = "unauthenticated"


class Forbidden(AssentryError):
    """This caller may not do that."""

    code = "forbidden"


class NotFound(AssentryError):
    """There is no such thing here."""

    code = "not_found"


class Conflict(AssentryError):
    """The current state does not allow that."""

    code = "conflict"


class Limited(AssentryError):
    """Too many calls; wait and try again."""

    code = "limited"


class Upstream(AssentryError):
    """The upstream is at fault, or cannot be reached."""

    code = "upstream"


class NotCarriedOut(Upstream):
    """The call was recorded, and nothing came of it; `outcome` says why."""

    code = "not_carried_out"


class OutcomeUnknown(Upstream):
    """Bytes left and no complete answer came: it may have happened; a person looks."""

    code = "outcome_unknown"


class AnswerTooLarge(Upstream):
    """The answer is longer than the target's limit; its beginning is with the request's result."""

    code = "answer_too_large"


class Unavailable(AssentryError):
    """A part that is needed does not answer now; try again later."""

    code = "unavailable"


# --- input -------------------------------------------------------------------------------------


class MalformedJson(Invalid):
    """The body is not strict JSON (RFC 8259, I-JSON of RFC 7493)."""

    code = "malformed_json"


class PayloadTooLarge(Invalid):
    """The body is larger than the server accepts."""

    code = "payload_too_large"


class UnsupportedMediaType(Invalid):
    """The body must be sent as application/json."""

    code = "unsupported_media_type"


class InvalidField(Invalid):
    """A field has a value that is not accepted."""

    code = "invalid_field"


class InvalidFilter(Invalid):
    """A query parameter is unknown or has a value that is not accepted."""

    code = "invalid_filter"


class InvalidCursor(Invalid):
    """The cursor was not made by this list; start without one."""

    code = "invalid_cursor"


class InvalidPolicy(Invalid):
    """The policy is not valid."""

    code = "invalid_policy"


class InvalidAction(Invalid):
    """The action cannot be carried out as described."""

    code = "invalid_action"


class WeakPassword(Invalid):
    """The password is too short or too common; use at least 12 characters."""

    code = "weak_password"


# --- who ----------------------------------------------------------------------------------------


class InvalidKey(Unauthenticated):
    """The API key is unknown, expired or revoked."""

    code = "invalid_key"


class BadCredentials(Unauthenticated):
    """The e-mail address or the password is wrong."""

    code = "bad_credentials"


class PasswordRequired(Forbidden):
    """This gives lasting power to decide in a person's name; give your password with it."""

    code = "password_required"


class MissingScope(Forbidden):
    """The key does not hold the scope that this call needs."""

    code = "missing_scope"


class MissingRole(Forbidden):
    """The person does not hold the role that this call needs."""

    code = "missing_role"


class AddressForbidden(Forbidden):
    """The key may not be used from this network address."""

    code = "address_forbidden"


class AgentFrozen(Forbidden):
    """The agent is frozen; an administrator must release it."""

    code = "agent_frozen"


class TargetNotPermitted(Forbidden):
    """The key does not permit this call at this target."""

    code = "target_not_permitted"


class NotAnApprover(Forbidden):
    """This person may not decide this request."""

    code = "not_an_approver"


class Denied(Forbidden):
    """Policy or a person says no to this call; nothing was sent."""

    code = "denied"


class AccountRefused(Forbidden):
    """This kind of account does not decide here: a bot, a guest, somebody of elsewhere."""

    code = "account_refused"


class NotLinked(Forbidden):
    """This account is not linked to a person here; sign in and link it, then do it again."""

    code = "not_linked"


class AssuranceTooLow(Forbidden):
    """The policy asks for a stronger proof of who decides; this was kept as a comment."""

    code = "assurance_too_low"


class NotShownInFull(Forbidden):
    """This message does not show all that will run, so it decides nothing; review it in full."""

    code = "not_shown_in_full"


class LinkUsed(Conflict):
    """This link was used, or is no longer valid."""

    code = "link_used"


class CrossOrigin(Forbidden):
    """The form did not come from this site, or its token is too old; reload the page."""

    code = "cross_origin"


class SetupClosed(Forbidden):
    """The set-up is closed: an administrator exists already."""

    code = "setup_closed"


class ScopeConflict(Invalid):
    """A key that can create requests can never decide them or administer."""

    code = "scope_conflict"


# --- state --------------------------------------------------------------------------------------


class AlreadyDecided(Conflict):
    """The request was decided before; the stored outcome stands."""

    code = "already_decided"


class AlreadyVoted(Conflict):
    """This person has voted on this request before; the first vote stands."""

    code = "already_voted"


class RequestExpired(Conflict):
    """The request expired before it was decided."""

    code = "request_expired"


class DigestMismatch(Conflict):
    """The request is not the one that was shown; reload it and look again."""

    code = "digest_mismatch"


class IllegalTransition(Conflict):
    """The request is not in a state that allows this."""

    code = "illegal_transition"


class IdempotencyMismatch(Conflict):
    """This Idempotency-Key was used with another body; take a new key, or send the same body."""

    code = "idempotency_mismatch"


class NameTaken(Conflict):
    """The name is in use."""

    code = "name_taken"


class VersionMismatch(Conflict):
    """It was changed by somebody else meanwhile; reload and try again."""

    code = "version_mismatch"


class InUse(Conflict):
    """It is in use and cannot be removed."""

    code = "in_use"


class LastAdministrator(Conflict):
    """The last active administrator cannot be removed."""

    code = "last_administrator"


# --- pressure and parts -------------------------------------------------------------------------


class RateLimited(Limited):
    """A rate limit is used up; `scope` says whose."""

    code = "rate_limited"


class TooBusy(Limited):
    """As many of this agent's calls run as may at a time; wait until one ends."""

    code = "too_busy"


class TooManyOpenRequests(Limited):
    """The agent has too many open requests; wait until some are decided."""

    code = "too_many_open_requests"


class TooManyWaiters(Limited):
    """The key has too many waiting calls open."""

    code = "too_many_waiters"


class TooManySignIns(Limited):
    """Too many failed sign-ins; wait before the next one."""

    code = "too_many_sign_ins"


class TargetUnavailable(Unavailable):
    """The target failed too often, so that calls there are stopped for a while."""

    code = "target_unavailable"


class StoreBusy(Unavailable):
    """The store has more work queued than it can take."""

    code = "store_busy"


class StoreUnavailable(Unavailable):
    """The database does not answer."""

    code = "store_unavailable"
