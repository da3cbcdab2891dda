"""Write the reference pages that follow from the code; with ``--check``, only say what is stale.

Run from the project's environment: ``.venv/bin/python docs/generate.py``.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from difflib import unified_diff
from importlib import import_module
from inspect import getclosurevars
from pathlib import Path
from pkgutil import walk_packages
from typing import Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

REFERENCE: Final = Path(__file__).parent / "reference"
NOTE: Final = "<!-- Written by docs/generate.py; change the code, then run it. -->\n"


def errors() -> str:
    """Return the page of every error: code, HTTP status, meaning."""
    from app.web.problems import (  # noqa: PLC0415 - each page loads only what it needs
        ROUTING,
        status_of,
    )

    lines = [
        "# Errors",
        "",
        NOTE,
        "Every refusal has a `code` that stays the same between versions. Over HTTP it comes as",
        "`application/problem+json` (RFC 9457); `detail` says what happened, `pointer` where in",
        "the input. An answer with `retry_after` may be repeated after that many seconds.",
    ]
    for family in _families():
        members = [family, *_below(family)]
        lines += ["", f"## {family.__name__}", "", "| code | HTTP | meaning |", "|---|---|---|"]
        lines += [
            f"| `{error.code}` | {status_of(error())} | {_sentence(error.__doc__)} |"
            for error in sorted(members, key=lambda error: (error is not family, error.code))
        ]
    lines += ["", "## Addresses", "", "| code | HTTP | meaning |", "|---|---|---|"]
    lines += [f"| `{code}` | {status} | {text} |" for status, (code, text) in ROUTING.items()]
    return "\n".join(lines) + "\n"


def settings() -> str:
    """Return the page of every setting."""
    from app.settings import PREFIX, Settings  # noqa: PLC0415
    from integrations.registry import CHANNELS  # noqa: PLC0415

    lines = [
        "# Settings",
        "",
        NOTE,
        "Settings come from environment variables. Each may also be given as a file: append",
        f"`_FILE` to the name, as in `{PREFIX}MASTER_KEY_FILE`; the variable itself wins over",
        f"its file, and a missing file is warned about. An unknown `{PREFIX}` name stops the",
        "start.",
        "",
        f"Secrets are {_secrets(PREFIX, Settings.model_fields)}, the channels' tokens, keys and",
        "passwords below, and the database's URL when it holds a password. Give them as files that",
        "only the server's account can read: variables",
        "show up in process lists and in crash reports. No page, log or answer repeats them.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{PREFIX}{name.upper()}` | {_default(field)} | {_sentence(field.description)} |"
        for name, field in Settings.model_fields.items()
    ]
    for channel in CHANNELS:
        part = channel.settings()
        lines += ["", f"## {channel.name.capitalize()}", "", _sentence(part.__doc__), ""]
        lines += ["| variable | default | meaning |", "|---|---|---|"]
        lines += [
            f"| `{channel.prefix}{name.upper()}` | {_default(field)} "
            f"| {_sentence(field.description)} |"
            for name, field in part.model_fields.items()
        ]
    return "\n".join(lines) + "\n"


def lifecycle() -> str:
    """Return the page of the life of a request."""
    from app.core.lifecycle import MAX_ATTEMPTS, TABLE  # noqa: PLC0415

    events = list(dict.fromkeys(row.event for row in TABLE))
    lines = [
        "# The life of a request",
        "",
        NOTE,
        "A request has one status, and this table is all that can happen to it. Each row taken is",
        "one transaction with its audit entry (`row` in its details), its vote and its jobs. An",
        "event without a row for the present status is refused and changes nothing.",
        "",
        "| # | from | event | when | to | jobs |",
        "|---|---|---|---|---|---|",
    ]
    for row in TABLE:
        source = f"`{row.source}`" if row.source else "–"
        jobs = ", ".join(row.jobs) or "–"
        event = row.event.__name__.lower()
        lines.append(
            f"| {row.number} | {source} | {event} | {_when(row.guard)} | `{row.target}` | {jobs} |"
        )
    ends = sorted({row.target.value for row in TABLE} - {row.source for row in TABLE})
    lines += [
        "",
        f"Nothing leads out of {', '.join(f'`{end}`' for end in ends)}.",
        "",
        "A request that Assentry only decides (kind `plain`) gets no job execute: it stays",
        "`approved` until its time to be used is over. Another claim of the same request needs",
        f"that nothing was sent or that a repeat is harmless; there are {MAX_ATTEMPTS} claims at",
        "most. Jobs of a kind that nothing handles yet are not written: see",
        "[decision 0013](../decisions/0013-unhandled-jobs-are-not-written.md).",
        "",
        "## Events",
        "",
        "| event | meaning |",
        "|---|---|",
    ]
    lines += [f"| {event.__name__.lower()} | {_sentence(event.__doc__)} |" for event in events]
    return "\n".join(lines) + "\n"


GUARDS: Final = {
    "_always": "always",
    "_quorum_open": "in time, and more seats are to be filled",
    "_quorum_met": "in time, and with this approval enough seats are filled",
    "_veto_open": "in time, and more denials are needed",
    "_vetoed": "in time, and with this denial enough are against it",
    "_asks_more": "in time, the step is due, and it asks more people",
    "_ladder_ends": "in time, the step is due, and it ends the ladder",
    "_over": "its time to be decided is over",
    "_grant_over": "its time to be used is over",
    "_claimable": "it can be executed, and its time to be used is not over",
    "_held": "the reporter still holds it: same fencing number",
    "_lost_for_good": "the lease is over or given up; something was sent, or no try is left",
    "_lost_repeatable": "the lease is over or given up; nothing was sent, or a repeat is harmless",
    "_ran": "the person says that it ran",
    "_did_not_run": "the person says that it did not run",
}
"""The table's guards in words, by function; a guard without words is an error here."""


def openapi() -> str:
    """Return the OpenAPI document."""
    from app.asgi import document  # noqa: PLC0415

    return json.dumps(document(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def presets() -> str:
    """Return the page of every service that there is a preset for."""
    from integrations.services.loader import presets as all_presets  # noqa: PLC0415

    lines = [
        "# Presets of services",
        "",
        NOTE,
        "What is known of a service: a file each in `integrations/services`. Reads pass, what is",
        "blocked is refused, and everything else asks a person. Destructive calls ask and carry",
        "the tag `destructive`. A host that ends in `.example` stands for your own.",
    ]
    for preset in all_presets():
        credential, rules = preset.credential, preset.rules
        lines += ["", f"## {preset.title}", "", preset.description, ""]
        lines += [f"- Name: `{preset.name}`, [documentation]({preset.documentation})"]
        lines += [f"- Base URL: `{preset.base_url}`"]
        fields = _codes(credential.fields)
        lines += [f"- Credential: `{credential.kind}` with {fields}. {credential.hint}"]
        if preset.oauth is not None:
            lines += [f"- OAuth 2 scopes: {_codes(preset.oauth.scopes) or 'none'}"]
        lines += [f"- Header to send: `{name}: {text}`" for name, text in preset.headers.items()]
        lines += [f"- GET and HEAD pass: {_codes(rules.reads)}"] if rules.reads else []
        lines += [
            f"- GET and HEAD pass without {_codes(one.fields)}: {_codes(one.paths)}"
            for one in rules.masked
        ]
        for title, paths in (
            ("POST passes", rules.reading_posts),
            ("Queries without a mutation pass", rules.graphql),
        ):
            lines += [f"- {title}: {_codes(paths)}"] if paths else []
        words = rules.graphql_words
        lines += [f"- Queries with one of these in a name ask: {_codes(words)}"] if words else []
        lines += [
            f"- Destructive: {', '.join(calls.methods)} at {_codes(calls.paths)}"
            + (f", when the body holds {_codes(calls.members)}" if calls.members else "")
            for calls in rules.destructive
        ]
        lines += [f"- Nothing passes with: {_codes(rules.asks_with)}"] if rules.asks_with else []
        lines += [f"- Blocked: {_codes(rules.blocked)}"] if rules.blocked else []
    return "\n".join(lines) + "\n"


def _codes(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


PAGES: Final[tuple[tuple[str, Callable[[], str]], ...]] = (
    ("errors.md", errors),
    ("settings.md", settings),
    ("lifecycle.md", lifecycle),
    ("openapi.json", openapi),
    ("presets.md", presets),
)


def main(argv: list[str]) -> int:
    """Write the pages, or check them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when stale")
    check = parser.parse_args(argv).check
    stale = [name for name, render in PAGES if not _settle(REFERENCE / name, render(), check)]
    if stale:
        print(f"stale: {', '.join(stale)}; run python docs/generate.py", file=sys.stderr)
    return 1 if stale else 0


def _settle(page: Path, text: str, check: bool) -> bool:  # noqa: FBT001
    """Bring a page up to date, or say how it differs; return whether all is well."""
    present = page.read_text("utf-8") if page.exists() else ""
    if present == text:
        return True
    if not check:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, "utf-8")
        return True
    difference = unified_diff(
        present.splitlines(), text.splitlines(), page.name, "generated", n=0, lineterm=""
    )
    print("\n".join(list(difference)[:40]), file=sys.stderr)
    return False


def _families() -> list[type]:
    """Return the families of errors, after loading every module that may add to them."""
    for package in ("app", "integrations", "workers"):
        for module in walk_packages(import_module(package).__path__, f"{package}."):
            import_module(module.name)
    return import_module("app.core.errors").AssentryError.__subclasses__()


def _below(family: type) -> Iterator[type]:
    for child in family.__subclasses__():
        yield child
        yield from _below(child)


def _when(guard: Callable[..., bool]) -> str:
    effect = getclosurevars(guard).nonlocals.get("effect")
    return f"the verdict is {effect}" if effect else GUARDS[guard.__name__]


def _secrets(prefix: str, fields: dict[str, FieldInfo]) -> str:
    names = [name for name, field in fields.items() if field.annotation is SecretStr]
    return ", ".join(f"`{prefix}{name.upper()}`" for name in names)


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return f"`{value}`" if str(value) else "empty"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
