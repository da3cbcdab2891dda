"""Fields put into a JSON text: there afterwards, and not a byte of the rest is another."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidAction
from app.core.json_insert import insert_field

pytestmark = pytest.mark.requirement("GW-3")


@pytest.mark.parametrize(
    ("body", "path", "after"),
    [
        ("{}", ("key",), '{"key":"v"}'),
        (' { "a" : 1.0 }\n', ("key",), ' { "a" : 1.0 ,"key":"v"}\n'),
        ('{"a":{"b":[{}]},"c":"}"}', ("a", "k"), '{"a":{"b":[{}],"k":"v"},"c":"}"}'),
        ('{"a":{}}', ("a", "b", "c"), '{"a":{"b":{"c":"v"}}}'),
        ('{"x":[{"a":{}}],"a":{}}', ("a", "b"), '{"x":[{"a":{}}],"a":{"b":"v"}}'),
        ('{"a":{"a":{}}}', ("a", "a", "b"), '{"a":{"a":{"b":"v"}}}'),
        ('{"\\u0061":{"n":1e2}}', ("a", "b"), '{"\\u0061":{"n":1e2,"b":"v"}}'),
        ('{"a":"{\\"b\\":{","c":2}', ("b",), '{"a":"{\\"b\\":{","c":2,"b":"v"}'),
    ],
)
def test_a_field_is_put_at_the_end_of_its_object(body: str, path: Any, after: str) -> None:
    assert insert_field(body.encode(), path, "v").decode() == after


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("", ("a",)),
        ("[]", ("a",)),
        ('"text"', ("a",)),
        ("{", ("a",)),
        ('{"a":1,"a":2}', ("b",)),
        ('{"a":null}', ("a",)),
        ('{"a":1}', ("a", "b")),
        ('{"a":[]}', ("a", "b")),
        ('{"\\u0061":1}', ("a",)),
    ],
)
def test_what_is_no_object_or_is_taken_is_refused(body: str, path: Any) -> None:
    with pytest.raises(InvalidAction) as refused:
        insert_field(body.encode(), path, "secret-value")
    assert "secret-value" not in refused.value.detail


NAMES = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
                min_size=1, max_size=4)  # fmt: skip
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | NAMES,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
        max_leaves=6,
    ),
    max_size=3,
)


@given(document=DOCUMENTS, path=st.lists(NAMES, min_size=1, max_size=3), value=NAMES)
def test_the_document_has_the_field_and_else_is_the_same(
    document: dict[str, Any], path: list[str], value: str
) -> None:
    try:
        after = json.loads(insert_field(json.dumps(document).encode(), path, value))
    except InvalidAction:
        return
    wanted: Any = document
    for name in path[:-1]:
        wanted = wanted.setdefault(name, {})
    assert path[-1] not in wanted
    wanted[path[-1]] = value
    assert after == document
