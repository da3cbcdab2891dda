"""Lists of calls: what an allow list takes exactly, a deny list takes in every spelling."""

import pytest

from app.core.calls import CallRule, check_rules, objection, plain_path, read_rule
from app.core.errors import InvalidField

pytestmark = pytest.mark.requirement("GW-5", "T45")

SPELLINGS = (
    "/admin/keys", "/admin/keys/", "/Admin/KEYS", "//admin//keys", "/%61dmin/keys",
    "/%2561dmin/keys", "/admin%2Fkeys", "/admin/x/../keys", "/./admin/keys", "/admin;a=b/keys",
    "/admin/keys;x", "/\uff41dmin/keys", "/admin\\keys", "/admin/keys/%2e", "/admin/keys%20",
)  # fmt: skip


@pytest.mark.parametrize("path", SPELLINGS)
@pytest.mark.parametrize("glob", ["/admin/keys", "/admin/**", "/*/keys", "/Admin/Keys/"])
def test_a_deny_list_knows_every_spelling(path: str, glob: str) -> None:
    assert CallRule(("GET",), (glob,)).forbids("GET", path)


@pytest.mark.parametrize("path", ["/admin", "/admin/keysmith", "/public/keys/a", "/"])
def test_a_deny_list_takes_no_more(path: str) -> None:
    assert not CallRule(("GET",), ("/admin/keys",)).forbids("GET", path)
    assert not CallRule(("GET",), ("/admin/keys",)).forbids("POST", "/admin/keys")


@pytest.mark.parametrize("path", SPELLINGS[1:])
def test_an_allow_list_is_exact(path: str) -> None:
    rule = CallRule(("GET",), ("/admin/keys",))
    assert rule.permits("GET", "/admin/keys")
    assert not rule.permits("GET", path)
    assert not rule.permits("HEAD", "/admin/keys")


def test_nothing_given_means_all() -> None:
    assert CallRule().permits("DELETE", "/x")
    assert CallRule().forbids("DELETE", "/x")
    assert CallRule(("DELETE",)).forbids("DELETE", "/x")
    assert CallRule(paths=("/**",)).everywhere


def test_an_objection_says_what_would_pass() -> None:
    reads, drops = CallRule(("GET", "HEAD"), ("/repos/**",)), CallRule(("DELETE",))
    assert not objection((), (), "GET", "/x")
    assert not objection((reads,), (drops,), "GET", "/repos/a")
    assert "GET,HEAD /repos/**" in objection((reads,), (), "GET", "/users")
    assert "DELETE" in objection((), (drops,), "DELETE", "/repos/a")
    many = tuple(CallRule(("GET",), (f"/{name}",)) for name in "abcdefg")
    assert objection(many, (), "GET", "/x").endswith("GET /e and 2 more")


def test_a_line_is_a_rule_and_back() -> None:
    for line in ("GET,HEAD /repos/** /users/*", "* /x", "DELETE", "*"):
        assert str(read_rule(line, "/deny")) == line
    assert read_rule("get /x", "/deny") == CallRule(("GET",), ("/x",))


@pytest.mark.parametrize(
    ("rule", "pointer"),
    [
        (CallRule(("BREW",)), "/deny/0/methods"),
        (CallRule(paths=("repos",)), "/deny/0/paths/0"),
        (CallRule(paths=("/ok", "/" + "a" * 300)), "/deny/0/paths/1"),
        (CallRule(paths=("/a**",)), "/deny/0/paths/0"),
        (CallRule(paths=("/x",) * 201), "/deny/0/paths"),
    ],
)
def test_rules_that_could_not_match_are_refused(rule: CallRule, pointer: str) -> None:
    with pytest.raises(InvalidField) as refused:
        check_rules((rule,), "/deny")
    assert refused.value.pointer == pointer
    with pytest.raises(InvalidField):
        check_rules((CallRule(),) * 201, "/deny")


def test_the_plain_path_of_a_plain_path_is_itself() -> None:
    assert plain_path("/") == "/"
    assert plain_path("/a/b") == "/a/b"
    assert plain_path("/../..") == "/"
