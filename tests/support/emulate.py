"""Other people's Slack: the npm package `emulate`, fetched once and kept apart, on loopback."""

import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

from tests.support import missing
from tests.support.server import free_port

PACKAGES = ("node@24", "emulate@0.12.2")
"""It needs Node 24, which is a package as well."""

TOKEN = "xoxb-emulate"


def _installed() -> Path:
    """Return the folder in which the packages are."""
    npm = shutil.which("npm")
    if npm is None:
        missing.skip("npm", "nodejs and npm")
    folder = Path(tempfile.gettempdir()) / "assentry-emulate-0.12.2"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not (folder / "done").exists():
            command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund"]
            subprocess.run([*command, *PACKAGES], check=True, capture_output=True, timeout=300)
            (folder / "done").touch()
    return folder / "node_modules"


@contextmanager
def emulated(service: str) -> Generator[str, None, None]:
    """Run a service; give its address."""
    modules, port = _installed(), free_port()
    command = [
        str(modules / "node/bin/node"), str(modules / "emulate/dist/index.js"), "start",
        "--service", service, "--port", str(port),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "Ready" in line:
                break
        else:
            raise RuntimeError("emulate ended before it was ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
