"""A real OpenSSH server on a free port of loopback, with keys of its own."""

import asyncio
import getpass
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support import missing
from tests.support.server import free_port

PATIENCE: Final = 15.0
_RUN: Final = Path("/run/sshd")
_CONFIG: Final = """
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host_key
{certificate}
PidFile {home}/sshd.pid
AuthorizedKeysFile {home}/authorized_keys
TrustedUserCAKeys {home}/user_ca.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
AllowTcpForwarding yes
MaxSessions {sessions}
SetEnv HOME={home}
MaxStartups 100
LogLevel VERBOSE
Subsystem sftp internal-sftp
"""


_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def has_sshd() -> bool:
    """Whether there is an OpenSSH server, and what makes its keys."""
    return bool(shutil.which("sshd", path=_PATH) and shutil.which("ssh-keygen"))


def need_sshd() -> None:
    """Skip where there is no OpenSSH server; in CI, that is a failure."""
    if not has_sshd():
        missing.skip("OpenSSH", "openssh-server")
    if os.geteuid() == 0:
        _RUN.mkdir(mode=0o755, exist_ok=True)  # a server that root starts insists on it


@dataclass
class Sshd:
    """A server that runs.

    :ivar key: the private key that it lets in, as text.
    """

    home: Path
    port: int
    user: str
    key: str
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def host_key(self) -> str:
        """The public host key, as ``type data``."""
        return " ".join((self.home / "host_key.pub").read_text().split()[:2])

    @property
    def log(self) -> str:
        """What the server wrote so far."""
        return (self.home / "log").read_text()

    async def start(self) -> None:
        """Start, and return once it takes connections."""
        process = self.process = self._spawn()
        async with asyncio.timeout(PATIENCE):
            while True:
                assert process.poll() is None, self.log
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                await writer.wait_closed()
                return

    def _spawn(self) -> "subprocess.Popen[bytes]":
        program = shutil.which("sshd", path=_PATH)
        assert program is not None
        with (self.home / "log").open("ab") as log:
            return subprocess.Popen(
                [program, "-D", "-e", "-f", str(self.home / "sshd_config")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "ASSENTRY_TEST": str(self.home)},
            )  # fmt: skip

    def stop(self) -> None:
        """End the server; sessions that run go on."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def end_sessions(self) -> None:
        """Kill what serves the connections that are open, which leaves their commands alone."""
        assert self.process is not None, "once it has ended, nobody knows what it served"
        listing = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        for pid in listing.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    async def new_host_key(self) -> None:
        """Become a server with another host key on the same port."""
        self.stop()
        for name in ("host_key", "host_key.pub"):
            (self.home / name).unlink()
        keygen(self.home / "host_key")
        await self.start()


def keygen(path: Path, *options: str) -> Path:
    """Make a key pair and return the private key's path."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path), "-C", "test"]
    subprocess.run([*command, *options], check=True, stdin=subprocess.DEVNULL)
    return path


def sign(authority: Path, public: Path, *options: str) -> Path:
    """Sign a public key by an authority and return the certificate's path."""
    command = ["ssh-keygen", "-q", "-s", str(authority), "-I", "test", *options, str(public)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return public.with_name(public.name.removesuffix(".pub") + "-cert.pub")


async def eventually(holds: Callable[[], object]) -> None:
    """Wait until something holds that nothing tells of."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running_sshd(
    home: Path, *, authority: bool = False, sessions: int = 10
) -> AsyncGenerator[Sshd]:
    """Run a server.

    :param authority: the host key is signed, by ``home / "host_ca"``.
    """
    need_sshd()
    server = _prepared(home, authority=authority, sessions=sessions)
    try:
        await server.start()
        yield server
    finally:
        server.stop()


def _prepared(home: Path, *, authority: bool, sessions: int) -> Sshd:
    home.mkdir(parents=True, exist_ok=True)
    client, host = keygen(home / "client_key"), keygen(home / "host_key")
    keygen(home / "user_ca")
    certificate = ""
    if authority:
        keygen(home / "host_ca")
        made = sign(home / "host_ca", host.with_suffix(".pub"), "-h", "-n", "127.0.0.1,localhost")
        certificate = f"HostCertificate {made}"
    (home / "authorized_keys").write_text((home / "client_key.pub").read_text())
    port = free_port()
    text = _CONFIG.format(port=port, home=home, certificate=certificate, sessions=sessions)
    (home / "sshd_config").write_text(text)
    return Sshd(home, port, getpass.getuser(), client.read_text())


def resident_kilobytes() -> int:
    """Return how much memory this process uses."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return sys.maxsize
