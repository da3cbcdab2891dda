"""axe-core, the accessibility checker, as an npm package that is fetched once and kept apart."""

import shutil
import subprocess
import tarfile
import tempfile
from fcntl import LOCK_EX, flock
from pathlib import Path

from tests.support import missing

PACKAGE = "axe-core@4.14.1"


def script() -> str:
    """Return axe-core's script."""
    npm = shutil.which("npm")
    if npm is None:
        missing.skip("npm", "nodejs and npm")
    folder = Path(tempfile.gettempdir()) / "assentry-axe-4.14.1"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        wanted = folder / "package" / "axe.min.js"
        if not wanted.exists():
            subprocess.run(
                [npm, "pack", PACKAGE, "--pack-destination", str(folder), "--silent"],
                check=True,
                capture_output=True,
                cwd=folder,
                timeout=60,
            )
            with tarfile.open(next(folder.glob("*.tgz"))) as archive:
                archive.extract("package/axe.min.js", folder, filter="data")
        return wanted.read_text(encoding="utf-8")
