"""Write the reference pages that follow from the code; with ``--check``, only say what is stale.

Run from the project's environment: ``.venv/bin/python docs/generate.py``.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from difflib import unified_diff
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

REFERENCE: Final = Path(__file__).parent / "reference"
NOTE: Final = "<!-- Written by docs/generate.py; change the code, then run it. -->\n"


def errors() -> str:
    """Return the page of every error: code, HTTP status, meaning."""
    from app.web.problems import status_of  # noqa: PLC0415 - each page loads only what it needs

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
    return "\n".join(lines) + "\n"


def settings() -> str:
    """Return the page of every setting."""
    from app.settings import PREFIX, Settings  # noqa: PLC0415

    lines = [
        "# Settings",
        "",
        NOTE,
        "Settings come from environment variables. Each may also be given as a file: append",
        f"`_FILE` to the name, as in `{PREFIX}MASTER_KEY_FILE`; the variable itself wins over",
        f"its file, and a missing file is warned about. An unknown `{PREFIX}` name stops the",
        "start.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{PREFIX}{name.upper()}` | {_default(field)} | {_sentence(field.description)} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(lines) + "\n"


def openapi() -> str:
    """Return the OpenAPI document."""
    from app.asgi import document  # noqa: PLC0415

    return json.dumps(document(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


PAGES: Final[tuple[tuple[str, Callable[[], str]], ...]] = (
    ("errors.md", errors),
    ("settings.md", settings),
    ("openapi.json", openapi),
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


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return f"`{value}`" if str(value) else "empty"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
