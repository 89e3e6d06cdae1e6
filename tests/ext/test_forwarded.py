"""Forwarded fields, case by case; the address of the client, compared with a simple loop in Python."""

import re
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.ext.message.forwarded import Forwarding

UUID4 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ID = ("X-Request-ID", "abc")


def forwarded(peer: str, *fields: tuple[str, str], trusted: tuple[str, ...] = (), **more: object) -> dict[str, str]:
    """The fields that the backend gets, names in lower case; several lines of one name joined by "|"."""
    joined: dict[str, str] = {}
    for name, value in Forwarding(trusted).apply(peer, fields, host="a.com:81", **more)[0]:  # type: ignore[arg-type]
        joined[name.lower()] = f"{joined[name.lower()]}|{value}" if name.lower() in joined else value
    return joined


def test_a_plain_request() -> None:
    fields = forwarded("192.0.2.1", ("Accept", "*/*"))
    assert UUID4.fullmatch(fields.pop("x-request-id"))
    assert fields == {
        "accept": "*/*",
        "x-forwarded-for": "192.0.2.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "a.com:81",
    }


def test_over_tls() -> None:
    assert forwarded("192.0.2.1", tls=True)["x-forwarded-proto"] == "https"


SPOOFED = (
    ("X-Forwarded-For", "1.1.1.1"),
    ("x-forwarded-for", "2.2.2.2"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "evil"),
    ID,
)


def test_what_a_stranger_says_is_replaced() -> None:
    fields = forwarded("192.0.2.1", *SPOOFED, trusted=("10.0.0.0/8",))
    assert UUID4.fullmatch(fields.pop("x-request-id"))
    assert fields == {
        "x-forwarded-for": "192.0.2.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "a.com:81",
    }


def test_what_a_trusted_proxy_says_is_kept_and_for_appended() -> None:
    fields = forwarded("10.1.2.3", *SPOOFED, trusted=("10.0.0.0/8",))
    assert fields == {
        "x-forwarded-for": "1.1.1.1|2.2.2.2, 10.1.2.3",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "evil",
        "x-request-id": "abc",
    }


@pytest.mark.parametrize("bad", [(), (("X-Request-ID", ""),), (("X-Request-ID", "x" * 129),)])
def test_a_trusted_proxys_missing_or_odd_request_id_is_made(bad: tuple[tuple[str, str], ...]) -> None:
    assert UUID4.fullmatch(forwarded("10.1.2.3", *bad, trusted=("10.0.0.0/8",))["x-request-id"])


def test_one_request_id_goes_on() -> None:
    assert forwarded("10.1.2.3", ID, ("X-Request-ID", "def"), trusted=("10.0.0.0/8",))["x-request-id"] == "abc"


def test_an_http_1_0_request_without_host() -> None:
    fields = dict(Forwarding().apply("1.1.1.1", ())[0])
    assert "X-Forwarded-Host" not in fields


def test_mapped_addresses_are_ipv4() -> None:
    assert forwarded("::ffff:192.0.2.1")["x-forwarded-for"] == "192.0.2.1"
    assert Forwarding(("192.0.2.0/24",)).trusts("::ffff:192.0.2.1")
    assert Forwarding(("::ffff:192.0.2.0/120",)).trusts("192.0.2.1")


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ((), "10.0.0.1"),
        (("203.0.113.9",), "203.0.113.9"),
        (("203.0.113.9, 10.0.0.2",), "203.0.113.9"),
        (("6.6.6.6, 203.0.113.9, 10.0.0.2",), "203.0.113.9"),
        (("6.6.6.6", "203.0.113.9", "10.0.0.2"), "203.0.113.9"),
        (("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        (("unknown, 10.0.0.2",), "10.0.0.2"),
        (("203.0.113.9:1234",), "203.0.113.9"),
        (("[2001:db8::1]:1234",), "2001:db8::1"),
        (("2001:db8::1",), "2001:db8::1"),
        (("[2001:db8::1]x",), "10.0.0.1"),
        (("203.0.113.9 ,\t, 10.0.0.2 ,",), "203.0.113.9"),
        (("",), "10.0.0.1"),
        ((",,",), "10.0.0.1"),
        (("x" * 5000,), "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_that_is_not_trusted(chain: tuple[str, ...], client: str) -> None:
    fields = [("X-Forwarded-For", line) for line in chain]
    assert Forwarding(("10.0.0.0/8",)).apply("10.0.0.1", fields)[1] == client
    assert Forwarding().apply("10.0.0.1", fields)[1] == "10.0.0.1"


ADDRESSES = st.sampled_from(("10.0.0.1", "10.255.0.1", "11.0.0.1", "fd00::1", "fe80::2", "192.0.2.7", "junk"))


@settings(max_examples=300, deadline=None)
@given(ADDRESSES.filter(lambda text: text != "junk"), st.lists(st.lists(ADDRESSES, max_size=3), max_size=3))
def test_the_client_against_a_plain_walk(peer: str, lines: list[list[str]]) -> None:
    blocks = ("10.0.0.0/8", "fd00::/8")
    client = peer
    for text in reversed([address for line in lines for address in line]):
        if text == "junk" or not is_trusted(client, blocks):
            break
        client = text
    fields = [("X-Forwarded-For", ", ".join(line)) for line in lines]
    assert Forwarding(blocks).apply(peer, fields)[1] == client


def is_trusted(address: str, blocks: tuple[str, ...]) -> bool:
    found = ip_address(address)
    networks = [ip_network(block, strict=False) for block in blocks]
    return any(found.version == network.version and found in network for network in networks)


@settings(max_examples=300, deadline=None)
@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128))
def test_blocks_contain_what_they_contain(address: object, start: object, bits: int) -> None:
    most = 32 if ":" not in str(start) else 128
    block = f"{start}/{min(bits, most)}"
    plain = getattr(address, "ipv4_mapped", None) or address
    network = ip_network(block, strict=False)
    if str(network).startswith("::ffff:"):
        return  # mapped blocks have a separate test
    expected = plain.version == network.version and plain in network  # type: ignore[union-attr]
    assert Forwarding((block,)).trusts(str(address)) is expected


@pytest.mark.parametrize(
    "wrong", ["10.0.0.0/33", "::/129", "10.0.0", "host", "10.0.0.0/", "10.0.0.0/-1", "1.1.1.1/²", ""]
)
def test_what_is_no_block_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(wrong))):
        Forwarding(("10.0.0.0/8", wrong))


def test_a_full_arena_is_an_error_and_nothing_worse() -> None:
    fields = [("X-Forwarded-For", "1.1.1.1"), ("Accept", "x")]

    def fits(room: int) -> bool:
        try:
            Forwarding(("10.0.0.0/8",)).apply("10.0.0.1", fields, host="a.com", arena=room)
        except MemoryError:
            return False
        return True

    outcomes = [fits(room) for room in range(1200)]
    assert outcomes == sorted(outcomes)
    assert (outcomes[0], outcomes[-1]) == (False, True)
