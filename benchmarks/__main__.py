"""``python -m benchmarks``: everything that docs/performance.md has figures of."""

import shutil
import sys
from collections.abc import Sequence
from typing import Final

from benchmarks import doors, drain, gateway, policies, waiters

_BESIDE: Final = ("nginx", "wrk", "node")
"""Programs that the gateway is measured beside, or with."""


def main(argv: Sequence[str]) -> int:
    """Run one after another; the arguments are those of ``benchmarks.doors``."""
    failed = doors.main(list(argv)) or waiters.main([]) or policies.main([]) or drain.main([])
    missing = [name for name in _BESIDE if shutil.which(name) is None]
    if missing:
        print(f"the gateway is not measured: {', '.join(missing)} is not installed")
        return failed
    return failed or gateway.main([])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
