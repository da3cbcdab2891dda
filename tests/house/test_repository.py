"""Nothing of one machine, and no address in a lock."""

import re

from tests.support.sources import ROOT, name, text, tracked

MACHINE = re.compile(r"(?<![\w./-])/(?:work|farm)/|(?<![\w./*-])/root/\w|/home/[a-z]\w+/")
LOCKED = re.compile(r"[a-z0-9][a-z0-9._-]*==\S+( ;.+)? \\")


def locks() -> list[str]:
    return [name(path) for path in tracked() if path.suffix == ".lock" or "-lock." in path.name]


def test_locks_hold_no_addresses() -> None:
    assert {"requirements/core.lock", "requirements/test.lock"} <= set(locks())
    assert [path for path in locks() if "://" in (ROOT / path).read_text("utf-8")] == []


def test_locks_hold_a_version_and_hashes_for_everything() -> None:
    for path in ("requirements/core.lock", "requirements/test.lock"):
        blocks = re.split(r"\n(?=\S)", (ROOT / path).read_text("utf-8").strip())
        assert [block for block in blocks if not LOCKED.match(block)] == []
        assert [block for block in blocks if "--hash=sha256:" not in block] == []


def test_locks_are_installed_as_they_stand() -> None:
    """A resolver would look past them: a newer release of an extra once broke every install."""
    files = ((ROOT / path).read_text("utf-8") for path in ("Makefile", "docker/Dockerfile"))
    installs = [line for text in files for line in text.splitlines() if "--require-hashes" in line]
    assert len(installs) == 3
    assert all("--no-deps --require-hashes" in line for line in installs)


def test_tests_run_on_what_is_shipped() -> None:
    def versions(path: str) -> dict[str, str]:
        lines = (ROOT / path).read_text("utf-8").splitlines()
        pairs = (line.split(" ")[0].split("==") for line in lines if line[:1].isalnum())
        return {package.split("[")[0]: version for package, version in pairs}

    core, test = versions("requirements/core.lock"), versions("requirements/test.lock")
    assert {package: test[package] for package in core if test.get(package, core[package])
            != core[package]} == {}  # fmt: skip


def test_no_file_names_a_path_of_a_machine() -> None:
    found = [
        f"{name(path)}:{number}: {line.strip()[:80]}"
        for path in tracked()
        for number, line in enumerate((text(path) or "").splitlines(), 1)
        if MACHINE.search(line)
    ]
    assert found == []
