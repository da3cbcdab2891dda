"""The image and its composition, as far as files tell: there is no engine in the tests."""

import re
import subprocess
from typing import Any

import yaml

from tests.support.sources import ROOT

DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text("utf-8")
INSTRUCTIONS = re.sub(r"\\\n\s*", "", DOCKERFILE).splitlines()


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text("utf-8"))


def of(word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in INSTRUCTIONS if line.startswith(f"{word} ")]


def test_the_image_has_two_stages_and_no_root() -> None:
    assert len(of("FROM")) == 2
    assert of("USER") == ["10001:10001"]
    assert INSTRUCTIONS.index("USER 10001:10001") > max(
        number for number, line in enumerate(INSTRUCTIONS) if line.startswith("RUN ")
    )


def test_the_image_installs_what_is_locked() -> None:
    installs = [line for line in of("RUN") if "pip install" in line]
    assert len(installs) == 2
    assert "--require-hashes -r requirements/core.lock" in installs[0]
    assert "--no-deps --no-build-isolation" in installs[1]


def test_the_image_holds_no_secret_and_is_checked() -> None:
    assert not re.search(r"(?i)(key|password|token|secret)\s*=", DOCKERFILE)
    assert of("HEALTHCHECK") and "/health" in of("HEALTHCHECK")[0]
    assert (of("ENTRYPOINT"), of("CMD")) == (['["assentry-entrypoint"]'], ['["up"]'])


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    allowed = {
        line.removeprefix("!").split("/")[0]
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    copied = [
        source
        for line in of("COPY")
        if "--from" not in line
        for source in [part for part in line.split() if not part.startswith("--")][:-1]
    ]
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert {source.split("/")[0] for source in copied} == allowed


def test_the_entrypoint_is_a_script_that_hands_over() -> None:
    path = ROOT / "docker" / "entrypoint.sh"
    assert path.stat().st_mode & 0o111
    assert subprocess.run(["sh", "-n", str(path)], check=False).returncode == 0
    assert path.read_text("utf-8").splitlines()[-1] == 'exec assentry "$@"'


def test_only_loopback_is_published() -> None:
    services = compose()["services"]
    assert services["server"]["ports"] == ["127.0.0.1:8700:8700"]
    assert [name for name, one in services.items() if "ports" in one] == ["server"]


def test_secrets_come_from_files() -> None:
    document = compose()
    assert all(set(secret) == {"file"} for secret in document["secrets"].values())
    for name, service in document["services"].items():
        secret = [at for at in service["environment"] if re.search("PASSWORD|KEY|DATABASE_URL", at)]
        assert secret, name
        assert all(at.endswith("_FILE") for at in secret), name
        assert set(service["secrets"]) <= set(document["secrets"])


def test_our_containers_can_write_nothing_and_have_time_to_stop() -> None:
    services = compose()["services"]
    for name in ("server", "worker"):
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["stop_grace_period"] == "35s"
    assert (services["server"]["command"], services["worker"]["command"]) == (["serve"], ["work"])
