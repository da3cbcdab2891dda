"""``exists``: whether a path finds anything at all, null included."""

from typing import Final

from app.core.conditions.base import Condition, Kind, Spec, Tri, guarded
from app.core.conditions.reading import boolean
from app.core.facts import MISSING, UNCLEAR, Facts, reader


def _exists(spec: Spec) -> Condition:
    wanted = boolean(spec.value, spec.pointer)
    read = reader(spec.path)

    def check(facts: Facts) -> Tri:
        value = read(facts)
        return None if value is UNCLEAR else (value is not MISSING) is wanted

    described = f"{spec.name} {'is there' if wanted else 'is not there'}"
    matches = guarded(check)
    return Condition("exists", wanted, described, matches, spec.name, spec.path, read)


KINDS: Final = (
    Kind(
        "exists",
        "operator",
        "Whether there is such a value (null counts). Indeterminate below a body that could not "
        "be read.",
        {"params.coupon": {"exists": False}},
        _exists,
    ),
)
