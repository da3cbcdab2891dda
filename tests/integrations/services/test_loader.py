"""Files of presets: what is not understood is refused by name (SVC-1)."""

import pytest

from integrations.services.loader import parse, presets

pytestmark = pytest.mark.requirement("SVC-1")

TEXT = """
name = "acme"
title = "Acme"
description = "Things."
documentation = "https://acme.example/docs"
base_url = "https://acme.example"
expect = []
[credential]
kind = "bearer"
fields = ["token"]
hint = "Ask."
[rules]
reads = ["/**"]
"""


def test_a_file_becomes_a_preset() -> None:
    assert parse(TEXT, "acme.toml").rules.reads == ("/**",)
    assert len({preset.name for preset in presets()}) == len(presets())


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (TEXT, "other.toml", "the name in it is 'acme'"),
        (TEXT + 'read = ["/x"]', "acme.toml", "unknown: .rules.read"),
        (TEXT.replace('title = "Acme"', ""), "acme.toml", "title"),
        ("=", "acme.toml", "acme.toml"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text, name)
