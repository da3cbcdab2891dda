"""Everything that a user may meet is written down, and what is written is fresh."""

import re
import subprocess
import sys
from collections import Counter
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import walk_packages

from app.core.errors import AssentryError
from app.settings import PREFIX, Settings
from tests.support.sources import ROOT

SECTIONS = ("Start", "Test", "Commands", "Configure", "Read on")
ADR_HEADINGS = ["Status", "Context", "Decision", "Consequences", "Rejected"]


def errors() -> list[type[AssentryError]]:
    """Return every class of errors, after loading every module that may define one."""
    for package in ("app", "integrations", "workers"):
        for module in walk_packages(import_module(package).__path__, f"{package}."):
            import_module(module.name)

    def below(family: type[AssentryError]) -> list[type[AssentryError]]:
        return [one for child in family.__subclasses__() for one in (child, *below(child))]

    return [
        one for one in below(AssentryError) if one.__module__.startswith(("app.", "integ", "w"))
    ]


def page(path: str) -> str:
    assert (ROOT / path).exists(), f"{path} is missing"
    return (ROOT / path).read_text("utf-8")


def test_every_error_has_its_own_code_and_words() -> None:
    codes = Counter(error.__dict__.get("code", "") for error in errors())
    assert [error.__name__ for error in errors() if "code" not in error.__dict__] == []
    assert [code for code, count in codes.items() if count > 1] == []
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(_[a-z]+)*", code)] == []
    assert [error.__name__ for error in errors() if not error.__dict__.get("__doc__")] == []


def test_every_error_is_documented() -> None:
    reference = page("docs/reference/errors.md")
    assert [error.code for error in errors() if f"| `{error.code}` |" not in reference] == []


def test_every_setting_is_documented() -> None:
    reference = page("docs/reference/settings.md")
    variables = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}
    assert [variable for variable in variables if f"`{variable}`" not in reference] == []
    assert [field for field, info in Settings.model_fields.items() if not info.description] == []


def test_the_reference_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_readme_has_its_sections() -> None:
    headings = re.findall(r"^## (.+)$", page("README.md"), re.MULTILINE)
    assert [section for section in SECTIONS if not any(section in at for at in headings)] == []


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    dead = [
        f"{at.relative_to(ROOT)}: {link}"
        for at in pages
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", at.read_text("utf-8"))
        if "://" not in link and not link.startswith("mailto:") and not (at.parent / link).exists()
    ]
    assert dead == []


def test_every_decision_has_its_headings_and_fits_a_screen() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert len(decisions) >= 10
    for at in decisions:
        text = at.read_text("utf-8")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ADR_HEADINGS, at.name
        assert len(text.splitlines()) <= 60, at.name
        assert f"({at.name})" in page("docs/decisions/README.md"), at.name


def test_every_command_is_listed_with_its_help() -> None:
    help_of = import_module("assentry.__main__").HELP
    commands = {point.name for point in entry_points(group="assentry.commands")}
    assert commands - set(help_of) == set()
    assert all(point.load() for point in entry_points(group="assentry.commands"))
