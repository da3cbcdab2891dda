"""Paths, base URLs and headers: what is refused, and that the rest stays byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from app.core.errors import InvalidAction, InvalidField
from app.core.paths import (
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_TARGET_BYTES,
    METHODS,
    parse_base_url,
    parse_target_path,
    request_headers,
)

GOOD = [
    ("/", "/", ""),
    ("/v1/users/7", "/v1/users/7", ""),
    ("/v1/", "/v1/", ""),
    ("/a?b=c&d=%2F..%2f", "/a", "b=c&d=%2F..%2f"),
    ("/a?next=https://x.example/y", "/a", "next=https://x.example/y"),
    ("/a?x[]=1&y=a;b", "/a", "x[]=1&y=a;b"),
    ("/a?line=1%0A2", "/a", "line=1%0A2"),
    ("/a?b?c", "/a", "b?c"),
    ("/...", "/...", ""),
    ("/.well-known/x", "/.well-known/x", ""),
    ("/a..b/..c/d..", "/a..b/..c/d..", ""),
    ("/caf%C3%A9", "/caf%C3%A9", ""),
    ("/caf%c3%a9", "/caf%c3%a9", ""),
    ("/100%25", "/100%25", ""),
    ("/a%20b%2541", "/a%20b%2541", ""),
    ("/users/me@example.com:run", "/users/me@example.com:run", ""),
    ("/a%3Bb", "/a%3Bb", ""),
]

HOSTILE_PATHS = [
    *("", "a", "*", "?", "//evil.example/x", "///x", "/a//b", "//", "http://evil.example/"),
    *("https:/evil.example", "evil.example:443", "\\evil", "/\\evil.example", "/a\\..\\b"),
    *("/..", "/.", "/../x", "/a/../b", "/a/./b", "/a/..", "/a/.", "/a/..?x", "/./"),
    *("/%2e", "/%2e%2e/x", "/a/.%2e/b", "/a/%2E./b", "/a/%2e%2E", "/%252e%252e/x"),
    *("/%25252e", "/a%2fb", "/a%2Fb", "/..%2f", "/a%5cb", "/a%5C..", "/a%252fb", "/a%255cb"),
    *("/a%25252fb", "/a;b", "/..;/x", "/..;a=b/x", "/a/;/b", "/..%3b/x", "/%2e%2e%3Bx"),
    *("/a\0b", "/a%00b", "/a%2500", "/a?b=%00", "/a\r\nHost: evil", "/a%0d%0aX:1", "/a%0A"),
    *("/a\tb", "/a b", "/a%7f", "/a%c2%85", "/a#b", "/a?b#c", "/é", "/a?é", "/a\x85"),
    *("/a%", "/a%2", "/a%zz", "/a?b=%", "/a?b=%g0", "/%c0%af", "/%c0%ae%c0%ae", "/%ff"),
    *("/%EF%BC%8F", "/%EF%BC%BC", "/%E2%80%A5", "/%EF%BC%8E%EF%BC%8E/x", "/..%20/x"),
    *('/a"b', "/a<b", "/a|b", "/a{b}", "/a^b", "/a`b", "/[a]", "/a?b=<", '/a?"', "/a?b c"),
    "/" + "a" * MAX_TARGET_BYTES,
]


@pytest.mark.requirement("T43")
@pytest.mark.parametrize(("raw", "path", "query"), GOOD)
def test_a_plain_path_stays_byte_for_byte(raw: str, path: str, query: str) -> None:
    assert parse_target_path(raw) == (path, query)


@pytest.mark.requirement("T43")
@pytest.mark.requirement("GW-4")
@pytest.mark.parametrize("raw", HOSTILE_PATHS)
def test_a_path_with_two_readings_is_refused(raw: str) -> None:
    with pytest.raises(InvalidAction) as caught:
        parse_target_path(raw, "/action/path")
    assert caught.value.pointer == "/action/path"
    assert caught.value.detail


@pytest.mark.requirement("T43")
@given(st.text(alphabet="/.%2eEfF5cC;?#\\@:a é\0", max_size=24).map("/".__add__))
def test_what_is_accepted_means_the_same_to_another_parser(raw: str) -> None:
    try:
        path, query = parse_target_path(raw)
    except InvalidAction:
        return
    url = URL(f"https://host.example{path}?{query}")
    assert url.host == "host.example"
    assert url.path.count("/") == path.count("/")
    assert ".." not in url.path.split("/")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("HTTPS://API.Example.COM/", "https://api.example.com"),
        ("https://api.example.com:443/v1/", "https://api.example.com/v1"),
        ("http://api.example.com:80", "http://api.example.com"),
        ("http://api.example.com:8080/a/b", "http://api.example.com:8080/a/b"),
        ("https://api.example.com.", "https://api.example.com"),
        ("https://Bücher.example", "https://xn--bcher-kva.example"),
        ("https://localhost:8443", "https://localhost:8443"),
        ("http://my_service:80", "http://my_service"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://[2001:DB8::0:1]:80/x", "http://[2001:db8::1]/x"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("https://a.example:00443", "https://a.example"),
    ],
)
def test_a_base_url_has_one_normal_form(raw: str, text: str) -> None:
    base = parse_base_url(raw)
    assert base.text == text
    assert parse_base_url(text) == base


@pytest.mark.requirement("T49")
@pytest.mark.parametrize(
    "raw",
    [
        *("", "api.example.com", "ftp://a.example", "file:///etc/passwd", "https:a.example"),
        *("//a.example", "https://", "https:///x", "https://user@a.example", "gopher://a"),
        *("https://user:pw@a.example", "https://a.example?x", "https://a.example#x"),
        *("https://a.example/?x=1", "https://a.example/..", "https://a.example/a//b"),
        *("https://a.example:0", "https://a.example:65536", "https://a.example:", "http://a:b"),
        *("https://a.example:8 0", "https://a b", "https://a.example\n", "https://a\\b"),
        *("http://127.1", "http://0x7f000001", "http://2130706433", "http://0177.0.0.1"),
        *("http://127.0.0.0x1", "http://127.0.0.1.", "http://1.2.3.4.5", "http://256.1.1.1"),
        *("http://[127.0.0.1]", "http://[::1", "http://::1", "http://[fe80::1%25eth0]"),
        *("http://-a.example", "http://a-.example", "http://a..example", "http://.example"),
        *("http://a%2eexample", "http://a,b", "http://\uff0fevil.example", "http://a.0x"),
        *("http://" + "a" * 64 + ".example", "http://" + "a." * 130 + "example", "http://é\ud800"),
    ],
)
def test_other_base_urls_are_refused(raw: str) -> None:
    if raw == "http://127.0.0.1.":
        assert parse_base_url(raw).host == "127.0.0.1"
        return
    with pytest.raises(InvalidField) as caught:
        parse_base_url(raw)
    assert caught.value.pointer == "/base_url"


@pytest.mark.requirement("T49")
def test_odd_digits_are_folded_before_the_address_is_read() -> None:
    assert parse_base_url("http://\uff11\uff12\uff17。0。0。1").host == "127.0.0.1"


@pytest.mark.requirement("T45")
def test_headers_come_back_in_lower_case_and_in_order() -> None:
    given_lines = [("X-B", " 1 "), ("Content-Type", "text/plain"), ("x-b", "2"), ("If-Match", "")]
    assert request_headers(given_lines) == (
        *(("x-b", "1"), ("content-type", "text/plain"), ("x-b", "2"), ("if-match", "")),
    )


@pytest.mark.requirement("T45")
@pytest.mark.parametrize(
    "name",
    [
        *("Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "TE", "Trailer"),
        *("Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Proxy-Anything", "Expect"),
        *("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "x_forwarded_for", "Via"),
        *("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL"),
        *("X-Rewrite-URL", "Cookie", "Cookie2", "Authorization", "Content_Length", "X-Real-IP"),
        *("Accept-Encoding", "HTTP2-Settings", "CF-Connecting-IP", "Set-Cookie"),
        *("", "a b", "a:b", "a\r\nb", "é", "a\0", "(x)", ":path"),
    ],
)
def test_headers_that_are_not_the_agents_are_refused(name: str) -> None:
    with pytest.raises(InvalidAction) as caught:
        request_headers([("x-a", "1"), (name, "1")])
    assert caught.value.pointer == "/headers/1"


@pytest.mark.requirement("T45")
@pytest.mark.parametrize(
    "value", ["a\r\nX: 1", "a\nb", "a\0b", "a\x01", "é", "a\x7f", "x" * (MAX_HEADER_BYTES + 1)]
)
def test_values_that_could_break_out_are_refused(value: str) -> None:
    with pytest.raises(InvalidAction):
        request_headers([("x-a", value)])


def test_the_number_and_size_of_headers_is_limited() -> None:
    with pytest.raises(InvalidAction):
        request_headers([("x-a", "1")] * (MAX_HEADERS + 1))
    with pytest.raises(InvalidAction):
        request_headers([("x-a", "1" * 8000)] * 5)


def test_methods_that_open_tunnels_or_mirror_are_not_among_ours() -> None:
    assert {"CONNECT", "TRACE", "get"} & METHODS == set()


@pytest.mark.requirement("T43", "T44")
@pytest.mark.parametrize("path", ["/%61dmin/users", "/a/%7Eb", "/%41", "/x%2Dy", "/a%5fb"])
def test_what_need_not_be_encoded_is_written_plainly(path: str) -> None:
    with pytest.raises(InvalidAction, match=r"percent-encoding|dot segments"):
        parse_target_path(path)


@pytest.mark.requirement("T45", "T47")
@pytest.mark.parametrize(
    "name",
    ["range", "if-range", "accept-charset", "content-encoding", "x_force", "te", "accept-encoding"],
)
def test_headers_that_would_hide_something_are_refused(name: str) -> None:
    with pytest.raises(InvalidAction):
        request_headers([(name, "1")])


@pytest.mark.requirement("T45")
def test_content_has_one_type() -> None:
    with pytest.raises(InvalidAction, match="twice"):
        request_headers([("Content-Type", "application/json"), ("content-type", "text/plain")])
