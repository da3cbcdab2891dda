"""``python -m benchmarks``: everything that docs/performance.md has figures of.

The arguments are those of ``benchmarks.doors``. What needs packages of the system comes last: SSH
needs OpenSSH, the gateway nginx, wrk and nodejs.
"""

import sys

from benchmarks import commands, doors, drain, gateway, policies, ratios, ssh, waiters

PARTS = (ratios, waiters, policies, commands, drain, ssh, gateway)

if __name__ == "__main__":
    codes = [doors.main(sys.argv[1:]), *(part.main([]) for part in PARTS)]
    sys.exit(max(codes))
