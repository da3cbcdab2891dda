"""A loop's variable stands for its written values inside the loop, and nowhere else (T41)."""

import pytest

from app.core.command_guard import judge
from app.core.command_line import parse_command
from app.core.command_values import spelled
from app.core.policy import Effect
from app.services.profiles import load

pytestmark = pytest.mark.requirement("SSH-5", "T41")


def words(command: str) -> list[tuple[str, ...]]:
    """Return what the last program of a line is given, once for each value."""
    return [one.texts for one in spelled(parse_command(command).programs[-1])]


def test_each_value_is_judged() -> None:
    assert words("for s in a b; do systemctl status $s; done") == [("status", "a"), ("status", "b")]
    assert words('for s in a; do kubectl logs "web-${s}"; done') == [("logs", "web-a")]
    nested = "for s in a b; do for t in c; do sudo id $s $t; done; done"
    assert words(nested) == [("a", "c"), ("b", "c")]
    effects = [
        judge(parse_command(f"for x in {given}; do systemctl $x nginx; done"), load().guard).effect
        for given in ("status is-active", "status stop")
    ]
    assert effects == [Effect.ALLOW, Effect.REVIEW]


@pytest.mark.parametrize(
    "command",
    [
        "for x in a; do :; done; id $x", "x=a; id $x", "for x in $y; do id $x; done",
        "for x in 'a b'; do id $x; done", "for x in -a; do id $x; done",
        "for x in a*; do id $x; done", "for x in a; do x=b; id $x; done",
        "for x in a; do read x; id $x; done", "for x in a; do unset x; id $x; done",
        "for x in a; do printf -v x b; id $x; done", "IFS=b; for x in abc; do IFS=b; id $x; done",
        "for x in a; do ((x=1)); id $x; done", "select x in a; do id $x; done",
        "for x in a; do sh -c 'id $x'; done", "for x in a; do id ${x:-b}; done",
        "for x in a; do id ${x}${y}; done",
    ],
)  # fmt: skip
def test_a_variable_that_may_be_something_else_stays_unknown(command: str) -> None:
    (given,) = [one.words for one in spelled(parse_command(command).programs[-1])]
    assert not all(word.known for word in given)


def test_more_values_than_anybody_reads_stay_unknown() -> None:
    many = " ".join(f"a{number}" for number in range(40))
    assert words(f"for x in {many}; do id $x; done") == [("$x",)]
