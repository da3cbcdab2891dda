"""``python -m benchmarks``: everything that docs/performance.md has figures of."""

import sys

from benchmarks import commands, doors, policies, waiters

if __name__ == "__main__":
    sys.exit(doors.main(sys.argv[1:]) or waiters.main([]) or policies.main([]) or commands.main([]))
