"""``python -m benchmarks``: everything that docs/performance.md has figures of.

The arguments are those of ``benchmarks.doors``. The gateway comes last: it needs nginx, wrk and
nodejs.
"""

import sys

from benchmarks import doors, drain, gateway, policies, waiters

if __name__ == "__main__":
    sys.exit(
        doors.main(sys.argv[1:])
        or waiters.main([])
        or policies.main([])
        or drain.main([])
        or gateway.main([])
    )
