"""``assentry hosts enrol``: a host's key is shown, compared, and pinned."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.cli.start import FAILED
from app.core.ssh_target import fingerprint
from tests.support.api import Api
from tests.support.server import installation, run
from tests.support.sshd import running_sshd


@pytest.fixture
async def _clients() -> AsyncGenerator[None]:
    yield
    await Api.close_all()


pytestmark = [
    pytest.mark.usefixtures("_clients"),
    pytest.mark.requirement("SSH-2", "T51"),
    pytest.mark.timeout(180),
]


async def test_a_key_is_pinned_once_it_is_the_expected_one(tmp_path: Path) -> None:
    async with running_sshd(tmp_path / "sshd") as server:
        with installation(tmp_path / "data") as product:
            admin = Api(product.base_url, product.admin_key)
            ssh = {"host": "127.0.0.1", "port": server.port, "user": server.user}
            made = await admin.made(
                "/api/targets", name="box", settings={"networks": ["127.0.0.0/8"], "ssh": ssh}
            )

            async def enrol(target: str, expected: str) -> tuple[int, str]:
                words = ("hosts", "enrol", target, "--fingerprint", expected)
                done = await asyncio.to_thread(run, product.env, *words)
                return done.returncode, done.stdout + done.stderr

            async def pinned() -> list[str]:
                found = (await admin.call("GET", f"/api/targets/{made['id']}"))[1]
                return list(found["settings"]["ssh"]["host_keys"])

            print_ = fingerprint(server.host_key)
            code, said = await enrol("box", "SHA256:" + "A" * 43)
            assert (code, print_ in said, await pinned()) == (FAILED, True, [])
            code, said = await enrol("none", print_)
            assert (code, "there is no target 'none'" in said) == (FAILED, True)
            code, said = await enrol("box", print_)
            assert (code, print_ in said) == (0, True), said
            assert await pinned() == [server.host_key]
            code, said = await enrol("box", print_)
            assert (code, "pinned already" in said) == (0, True)
            await server.new_host_key()
            done = await asyncio.to_thread(run, product.env, "hosts", "enrol", "box")
            assert done.returncode == FAILED  # nobody answers
            assert f"This is NOT the key that is pinned: {print_}" in done.stdout
            assert "Type replace" in done.stdout
            assert await pinned() != [server.host_key]
