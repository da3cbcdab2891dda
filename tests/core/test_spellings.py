"""The forms of a secret that are looked for as they are."""

import base64

import pytest

from app.core.spellings import forms_of

pytestmark = [pytest.mark.requirement("T47"), pytest.mark.requirement("VLT-2")]


def test_the_forms_of_a_secret() -> None:
    forms = set(forms_of("a/b+c\xe9"))
    raw = "a/b+c\xe9".encode()
    assert {raw, raw.hex().encode(), base64.b64encode(raw), b"a%2Fb%2Bc%C3%A9"} <= forms
    assert {b"a/b+c\xe9", b"a\\/b+c\\u00e9", "a/b+c\xe9".encode("utf-16-le")} <= forms
