"""What it costs to judge a shell command: microseconds for taking apart, guard and one profile.

    python -m benchmarks.commands [--quick]

The goal is 100 us for the three together, for an ordinary command. Nothing is kept between
calls: each is taken apart anew. Time of the processor, so that a busy machine does not count.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import process_time_ns
from typing import Final

from app.core.command_guard import judge
from app.core.command_line import parse_command
from app.core.command_profile import check
from app.services.profiles import load

GOAL_US: Final = 100
"""Most microseconds for an ordinary command."""

COMMANDS: Final = (
    "uptime",
    "ls -la /var/log",
    "systemctl --no-pager status nginx",
    "journalctl -u app --since '1 hour ago' | grep -i drop | tail -n 20",
    "sudo -u app rm -rf /srv/old",
    "find /srv -name '*.log' -mtime +7 -exec rm {} +",
)
_TARGET_NS: Final = 20_000_000


def microseconds(call: Callable[[], object], rounds: int) -> float:
    """Return the microseconds of one call in the best round: other processes only add to it."""
    call()
    start = process_time_ns()
    call()
    times = max(1, _TARGET_NS // max(1, process_time_ns() - start))
    return min(_round(call, times) for _ in range(rounds)) / 1_000


def _round(call: Callable[[], object], times: int) -> float:
    start = process_time_ns()
    for _ in range(times):
        call()
    return (process_time_ns() - start) / times


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, and how the middle command stands to the goal."""
    parser = argparse.ArgumentParser(description="microseconds per judged command")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 3 if parser.parse_args(argv).quick else 9
    rules = load()
    profile = rules.profiles["readonly-safe"]
    totals = list[float]()
    sys.stdout.write("".join(f"{name:>10}" for name in ("parse", "guard", "profile", "all, us")))
    sys.stdout.write("  command\n")
    for text in COMMANDS:
        line = parse_command(text)
        parts = [
            microseconds(lambda text=text: parse_command(text), rounds),
            microseconds(lambda line=line: judge(line, rules.guard), rounds),
            microseconds(lambda line=line: check(profile, line), rounds),
        ]
        totals.append(sum(parts))
        sys.stdout.write("".join(f"{us:>10.1f}" for us in (*parts, totals[-1])) + f"  {text}\n")
    middle = median(totals)
    sys.stdout.write(f"median {middle:.1f} us; the goal is {GOAL_US} us\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
