"""Events as Discord documents them, and whatever else comes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.discord.event import Event, read_event

pytestmark = pytest.mark.requirement("CH-2", "T17")
GOOD: dict[str, Any] = {
    "id": "1", "type": 3, "token": "t", "application_id": "2", "guild_id": "3",
    "member": {"user": {"id": "4", "username": "anna", "global_name": "Anna"}}, "data": {},
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=5) | st.just("value"),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["name", "type", "options", "components", "component", "custom_id",
                         "value", "user", "id", "bot", "member"]), inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


def event(**change: Any) -> Event:
    return read_event({**GOOD, **change})


def test_who_it_is_comes_from_the_id() -> None:
    found = event()
    assert (found.account.channel, found.account.id, found.account.name) == ("discord", "4", "Anna")
    assert event(member=None, user={"id": "5", "username": "x" * 200}).account.name == "x" * 100
    assert event(guild_id=None).guild == "" and found.guild == "3" and not found.bot
    assert event(member={"user": {"id": "4", "system": True}}).bot


@pytest.mark.parametrize("name", ["id", "token", "application_id", "type", "member"])
def test_what_is_missing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no interaction"):
        event(**{name: None})


def test_fields_stand_in_labels_or_in_rows() -> None:
    part = {"type": 4, "custom_id": "reason", "value": "a\r\nb"}
    for components in ([{"type": 18, "component": part}], [{"type": 1, "components": [part]}]):
        assert event(data={"components": components}).field("reason") == "a\nb"
    assert event().field("reason") == ""


def test_commands_have_words_and_options() -> None:
    option = {"name": "id", "type": 3, "value": "req_1"}
    data = {"name": "assentry", "options": [{"name": "show", "type": 1, "options": [option]}]}
    assert event(data=data).command() == ("assentry show", {"id": "req_1"})
    assert event(data={"name": "other"}).command() == ("other", {})


@settings(max_examples=500, deadline=None)
@given(JSON, JSON)
def test_whatever_comes_is_read_or_refused(data: Any, member: Any) -> None:
    try:
        found = event(data=data, member=member)
    except ValueError:
        found = event(data=data)
    found.command()
    assert isinstance(found.field("reason"), str)
    assert found.account.id.isdigit()
