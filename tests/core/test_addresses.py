"""The address table: a corpus of places that must stay out of reach, and what opens them."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.addresses import MAX_NETWORKS, NEVER, parse_networks, permitted
from app.core.errors import InvalidField

pytestmark = [pytest.mark.requirement("T49"), pytest.mark.requirement("GW-4")]

ANY = "0.0.0.0"

PUBLIC = (
    *("1.1.1.1", "8.8.8.8", "93.184.215.14", "100.63.255.255", "100.128.0.0", "172.15.255.255"),
    *("172.32.0.0", "192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "11.0.0.1"),
    *("2606:4700:4700::1111", "2a00:1450:4001::200e", "2001:4860:4860::8888", "2003::1"),
    "::ffff:8.8.8.8",
)

INTERNAL = (
    *("10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.1.2.3"),
    *("172.16.0.1", "172.31.255.255", "192.168.0.1", "192.0.0.1", "192.0.0.170", "192.0.2.1"),
    *("198.51.100.7", "203.0.113.7", "198.18.0.1", "198.19.255.255", "192.88.99.1"),
    *("192.31.196.1", "192.52.193.1", "192.175.48.1", "::1", "fc00::1", "fd12:3456::1"),
    *("fec0::1", "feff::1", "2001:db8::1", "2001:2::1", "2001:10::1", "2001:20::1", "3fff::1"),
    *("5f00::1", "2620:4f:8000::1", "64:ff9b::8.8.8.8", "2002:808:808::1"),
    *("4000::1", "::ffff:0:127.0.0.1", "1::1", "::2:0:0"),
)

GUARDED = (
    *("169.254.169.254", "169.254.170.2", "169.254.0.1", "100.100.100.200", "168.63.129.16"),
    *("192.0.0.192", "fe80::1", "fd00:ec2::254", "fd20:ce::254"),
)

NEVER_EVER = (
    *(
        ANY,
        "0.1.2.3",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
    ),
    *("::", "ff02::1", "64:ff9b:1::1", "2001::1", "2001:0:4136:e378::1", "100::1"),
)

HIDDEN = (
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:169.254.169.254", "::ffff:100.64.0.1"),
    *("::127.0.0.1", "::10.0.0.1", "::169.254.169.254", "64:ff9b::127.0.0.1"),
    *("64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1", "::ffff:0.0.0.0"),
)

NOT_ADDRESSES = (
    *("", "localhost", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.01"),
    *("[::1]", "fe80::1%eth0", "1.2.3.4%lo", " 8.8.8.8", "8.8.8.8 ", "8.8.8.8/32", "8.8.8"),
    *("8.8.8.8\n", "\uff18.8.8.8", "1.1.1.1:80", "::ffff:08.8.8.8"),
)

EVERYTHING = ("0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1")


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_permitted(address: str) -> None:
    assert permitted(address)


@pytest.mark.parametrize("address", [*INTERNAL, *GUARDED, *NEVER_EVER, *HIDDEN, *NOT_ADDRESSES])
def test_everything_else_is_refused(address: str) -> None:
    assert not permitted(address)


@pytest.mark.parametrize("address", INTERNAL)
def test_an_opt_in_that_contains_it_opens_an_internal_address(address: str) -> None:
    assert permitted(address, EVERYTHING)


@pytest.mark.parametrize("address", GUARDED)
def test_metadata_needs_an_opt_in_of_exactly_the_one_address(address: str) -> None:
    length = 128 if ":" in address else 32
    assert not permitted(address, (*EVERYTHING, "169.254.0.0/16", "fe80::/10"))
    assert permitted(address, (f"{address}/{length}",))


@pytest.mark.parametrize("address", [*NEVER_EVER, *NOT_ADDRESSES])
def test_no_opt_in_opens_what_has_no_meaning(address: str) -> None:
    length = 128 if ":" in address else 32
    assert not permitted(address, (*EVERYTHING, f"{address}/{length}"))


@pytest.mark.parametrize(
    ("address", "network"),
    [("::ffff:10.1.2.3", "10.0.0.0/8"), ("::10.1.2.3", "10.0.0.0/8")],
)
def test_a_mapped_address_is_judged_as_the_one_inside(address: str, network: str) -> None:
    assert not permitted(address, ("::/1",))
    assert permitted(address, (network,))


@pytest.mark.parametrize("address", ["64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"])
def test_a_translator_does_not_reach_what_is_refused_behind_it(address: str) -> None:
    assert not permitted(address, ("64:ff9b::/96", "2002::/16"))
    assert permitted(address, ("64:ff9b::/96", "2002::/16", "169.254.169.254/32"))


def test_an_opt_in_opens_nothing_else() -> None:
    assert permitted("10.1.2.3", ("10.1.2.0/24",))
    assert not permitted("10.1.3.3", ("10.1.2.0/24",))
    assert not permitted("127.0.0.1", ("10.1.2.0/24",))


def test_a_malformed_opt_in_opens_nothing() -> None:
    assert not permitted("10.1.2.3", ("10.1.2.3/8", "ten", "", "10.0.0.0/99"))


@given(st.integers(0, 2**32 - 1))
def test_mapping_never_changes_the_judgement(number: int) -> None:
    plain = socket.inet_ntoa(number.to_bytes(4, "big"))
    assert permitted(f"::ffff:{plain}") == permitted(plain)


@given(st.text(max_size=40))
def test_any_text_gets_an_answer(text: str) -> None:
    assert permitted(text) in {True, False}


def test_the_tables_hold_what_cannot_be_opened() -> None:
    for network in NEVER:
        assert not permitted(str(network[0]), (str(network), f"{network[0]}"))


def test_networks_are_kept_in_normal_form() -> None:
    assert parse_networks(["10.0.0.0/8", "FC00::/7", "127.0.0.1"]) == (
        *("10.0.0.0/8", "fc00::/7", "127.0.0.1/32"),
    )


@pytest.mark.parametrize("raw", ["0.0.0.0/0", "::/0", "10.0.0.1/8", "ten", "", "fe80::%1/64"])
def test_other_networks_are_refused_with_their_place(raw: str) -> None:
    with pytest.raises(InvalidField) as caught:
        parse_networks(["10.0.0.0/8", raw])
    assert caught.value.pointer == "/networks/1"


def test_too_many_networks_are_refused() -> None:
    with pytest.raises(InvalidField):
        parse_networks([f"10.0.{place}.0/24" for place in range(MAX_NETWORKS + 1)])
