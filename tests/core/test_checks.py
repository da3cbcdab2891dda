"""What is wrong with several fields is told at once; what is not about input stops it."""

import pytest

from app.core.checks import all_of, each_of
from app.core.errors import Forbidden, Invalid, InvalidField, WeakPassword


def refuse(error: Exception) -> None:
    raise error


def test_one_that_is_wrong_is_told_as_it_is() -> None:
    wrong = InvalidField("no", pointer="/a")
    with pytest.raises(InvalidField) as told:
        all_of(lambda: None, lambda: refuse(wrong))
    assert told.value is wrong and "errors" not in wrong.extra
    assert each_of(wrong) == [{"pointer": "/a", "detail": "no", "code": "invalid_field"}]
    all_of(lambda: None)
    all_of()


def test_several_are_told_together_however_they_nest() -> None:
    def inner() -> None:
        all_of(
            lambda: refuse(InvalidField("one", pointer="/a")),
            lambda: refuse(WeakPassword("two", pointer="/b")),
        )

    with pytest.raises(InvalidField, match="one") as told:
        all_of(inner, lambda: refuse(Invalid("three", pointer="/c", extra={"more": 1})))
    found = [(one["pointer"], one["detail"], one["code"]) for one in each_of(told.value)]
    assert found == [
        ("/a", "one", "invalid_field"), ("/b", "two", "weak_password"), ("/c", "three", "invalid"),
    ]  # fmt: skip
    assert told.value.pointer == "/a"


def test_what_is_not_about_input_stops_it() -> None:
    with pytest.raises(Forbidden):
        all_of(lambda: refuse(InvalidField("one")), lambda: refuse(Forbidden()))
