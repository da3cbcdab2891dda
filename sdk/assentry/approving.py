"""What approvers do in a terminal: ``inbox``, ``show``, ``approve`` and ``deny`` (DEC-1)."""

import argparse
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from assentry.api import Api, Refused
from assentry.paint import Terminal, card, line, row

OK, REFUSED, USAGE, TOO_LATE, UNREACHABLE = 0, 1, 2, 3, 4
"""Exit codes; too late means that somebody or the clock was faster."""

_LATE: Final = ("already_decided", "request_expired", "digest_mismatch", "already_voted")
_WRONG_USE: Final = ("no_key", "two_keys", "no_address", "bad_digest")
_COUNTED: Final = 200
_PAGES: Final = 15
"""Further pages of the list that are counted, of so many requests each."""
_DIGEST: Final = re.compile(r"[0-9a-f]{12,64}")
_EPILOG: Final = (
    "ASSENTRY_URL says where the server is (without it ASSENTRY_HOST and ASSENTRY_PORT, as for the "
    "server), ASSENTRY_KEY or ASSENTRY_KEY_FILE holds the key: one "
    "of your own with request:read and request:decide, from the page Account."
)


def inbox(arguments: list[str]) -> int:
    """List what waits for a decision."""
    parser = _parser("inbox", "list what waits for a decision, newest first")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most N (1 to 50)")
    return _run(parser, arguments, _inbox)


def show(arguments: list[str]) -> int:
    """Show a request as people decide on it."""
    parser = _parser("show", "show a request, whole")
    parser.add_argument("request", help="the request's id")
    return _run(parser, arguments, _show)


def approve(arguments: list[str]) -> int:
    """Show a request and approve exactly what is shown."""
    return _run(_deciding("approve"), arguments, lambda api, given: _decide(api, given, "approve"))


def deny(arguments: list[str]) -> int:
    """Show a request and deny it."""
    return _run(_deciding("deny"), arguments, lambda api, given: _decide(api, given, "deny"))


def _parser(name: str, says: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(f"assentry {name}", description=says, epilog=_EPILOG)
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    return parser


def _deciding(verb: str) -> argparse.ArgumentParser:
    parser = _parser(verb, f"{verb} a request, after showing it whole")
    parser.add_argument("request", help="the request's id")
    parser.add_argument("-m", "--comment", default="", help="goes with the decision")
    parser.add_argument(
        "--digest", metavar="DIGEST", help="decide without asking, if this is still the digest "
        "(12 digits or more, as shown)",
    )  # fmt: skip
    return parser


def _run(
    parser: argparse.ArgumentParser,
    arguments: list[str],
    act: Callable[[Api, argparse.Namespace], int],
) -> int:
    given = parser.parse_args(arguments)
    try:
        return act(Api.from_environment(), given)
    except Refused as refused:
        if given.json:
            print(json.dumps({"code": refused.code, "detail": refused.detail}))
        else:
            print(f"assentry: {line(refused.detail)} ({line(refused.code)})", file=sys.stderr)
        return _exit_code(refused)


def _exit_code(refused: Refused) -> int:
    if refused.code in _LATE:
        return TOO_LATE
    if refused.code in _WRONG_USE:
        return USAGE
    return UNREACHABLE if refused.answered == 0 else REFUSED


def _terminal() -> Terminal:
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return Terminal(shutil.get_terminal_size((80, 24)).columns, colour)


def _card(api: Api, request_id: str) -> dict[str, Any]:
    found: dict[str, Any] = api.call("GET", f"/api/requests/{quote(request_id, safe='')}/card")
    return found


def _inbox(api: Api, given: argparse.Namespace) -> int:
    most = min(max(given.limit, 1), 50)
    found = api.call("GET", f"/api/requests?status=pending&limit={most}")
    cards = [_card(api, str(item["id"])) for item in found["items"]]
    if not cards:
        api.call("GET", "/api/people")  # an agent's key is refused: nothing ever waits for it
    if given.json:
        print(json.dumps(cards))
        return OK
    if not cards:
        print("Nothing waits for a decision.")
        return OK
    print("\n".join(row(item, _terminal()) for item in cards))
    if found["next"]:
        print(f"\n{_more(api, found['next'])} more; --limit shows up to 50.")
    print("\nassentry show ID shows one whole; assentry approve ID and assentry deny ID decide.")
    return OK


def _more(api: Api, cursor: str) -> str:
    """Return how many requests come after a page, as far as is counted."""
    count = 0
    for _ in range(_PAGES):
        place = f"limit={_COUNTED}&cursor={quote(cursor)}"
        found = api.call("GET", f"/api/requests?status=pending&{place}")
        count += len(found["items"])
        cursor = found["next"]
        if not cursor:
            return f"{count:,}"
    return f"More than {count:,}"


def _show(api: Api, given: argparse.Namespace) -> int:
    shown = _card(api, given.request)
    print(json.dumps(shown) if given.json else card(shown, _terminal()), end="")
    return OK


def _decide(api: Api, given: argparse.Namespace, verb: str) -> int:
    shown = _card(api, given.request)
    if verb == "approve":
        _check_whole(shown)
    if given.digest is None and not _asked(shown, given, verb):
        print("Nothing was decided.", file=sys.stderr)
        return REFUSED
    if given.digest is not None:
        _check(shown, given.digest)
    body = {
        "decision": verb, "digest": shown["digest"], "comment": given.comment,
        "channel": "cli", "display": shown["display"],
    }  # fmt: skip
    after = api.call("POST", f"/api/requests/{quote(given.request, safe='')}/decide", body)
    if given.json:
        print(json.dumps(after))
    else:
        print(f"Counted. The request is {line(str(after['status']))}.")
    return OK


def _asked(shown: dict[str, Any], given: argparse.Namespace, verb: str) -> bool:
    """Show the card and ask for the verb, written out: a stray key decides nothing."""
    if not sys.stdin.isatty():
        code = "no_terminal"
        detail = "Nobody is here to ask: give --digest with the digest that you have seen."
        raise Refused(code, detail, -1)
    print(card(shown, _terminal()))
    if not shown["pending"]:
        code = "already_decided"
        raise Refused(code, f"It is not waiting: {shown['state']}.", -1)
    if shown["reason_required"] and not given.comment:
        given.comment = input("The policy asks for a comment: ").strip()
    what = f"{verb.capitalize()} {line(shown['verb'])}"
    return input(f'{what}? Write "{verb}" to decide: ').strip().lower() == verb


def _check_whole(shown: dict[str, Any]) -> None:
    """Refuse to approve what a terminal does not show: a part of it is known by its digest."""
    if shown["pending"] and shown.get("whole") is not True:
        code = "not_shown_in_full"
        where = line(str(shown["url"]))
        raise Refused(code, f"Not all that will run is shown here; decide it at {where}.", -1)


def _check(shown: dict[str, Any], digest: str) -> None:
    if not _DIGEST.fullmatch(digest):
        code = "bad_digest"
        raise Refused(code, "--digest takes 12 to 64 digits of 0-9 and a-f, as shown.", -1)
    if not str(shown["digest"]).startswith(digest):
        code = "digest_mismatch"
        raise Refused(code, "The request does not have this digest; look at it again.", -1)
