"""Filters: compared with the Python filters of explain, and the cases of the specification and of invalid messages."""

import pytest
from filterings import Fields, fields, joined, modifiers, paths, redirects, rewrites, values
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.explain.filtering import Redirected, filter_request, filter_response
from fastroute.explain.request import Request
from fastroute.ext.routing.filters import Filters
from fastroute.snapshot import Filter, HeaderModifier, Redirect, Rewrite


def modifier(direction: str = "request", **actions: object) -> HeaderModifier:
    return HeaderModifier(direction=direction, **actions)  # type: ignore[arg-type]


# --- compared with the Python filters


def test_a_prefix_is_replaced_in_a_path_that_two_rewrites_shortened() -> None:
    twice = (Rewrite(full_path="/new/path/"), Rewrite(prefix=""), Rewrite(prefix=""))
    assert Filters(twice).request(path="/foo", host="a.com", prefix=4)[1] == "/h/"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(modifiers("request") | rewrites, max_size=3),
    fields,
    paths,
    st.sampled_from((None, "", "a=1&b")),
    st.sampled_from(("a.com", "b.com:81")),
    st.sampled_from((0, 4)),
)
def test_requests_come_out_as_plainly(
    chain: list[Filter], given_fields: Fields, path: str, query: str | None, host: str, prefix: int
) -> None:
    prefix = prefix if path.startswith("/foo") else 0
    request = Request(method="GET", scheme="http", authority=host, path=path, query=query, headers=tuple(given_fields))
    plain = filter_request(chain, request, prefix, 80)
    assert isinstance(plain, Request)
    got = Filters(tuple(chain)).request(given_fields, path=path, query=query, host=host, prefix=prefix)
    assert (joined(got[0]), *got[1:]) == (joined(plain.headers), plain.path, plain.authority, None)


@settings(max_examples=300, deadline=None)
@given(
    redirects,
    paths,
    st.sampled_from((None, "", "a=1&b")),
    st.sampled_from(("a.com", "B.com:81", "[::1]:8080", "127.0.0.1")),
    st.sampled_from((0, 4)),
    st.sampled_from((80, 443, 8080)),
    st.booleans(),
)
def test_redirects_lead_where_the_plain_ones_do(
    redirect: Redirect, path: str, query: str | None, host: str, prefix: int, port: int, tls: bool
) -> None:
    prefix = prefix if path.startswith("/foo") else 0
    request = Request(method="GET", scheme="https" if tls else "http", authority=host, path=path, query=query)
    plain = filter_request((redirect,), request, prefix, port)
    assert isinstance(plain, Redirected)
    got = Filters((redirect,)).request(path=path, query=query, host=host, prefix=prefix, port=port, tls=tls)
    assert got[3] == (plain.status, plain.location)


@settings(max_examples=200, deadline=None)
@given(st.lists(modifiers("response") | modifiers("request"), max_size=3), fields)
def test_responses_come_out_as_plainly(chain: list[HeaderModifier], given_fields: Fields) -> None:
    plain = filter_response(chain, tuple(given_fields))
    assert joined(Filters(tuple(chain)).response(given_fields)) == joined(plain)


# --- the tables of the specification


@pytest.mark.parametrize(
    ("path", "prefix", "replacement", "result"),
    [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "/", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/bar", "", "/xyz", "/xyz/bar"),
        ("/", "", "/xyz", "/xyz/"),
        ("/bar", "", "", "/bar"),
        ("/foo//evil.org", "/foo", "", "/evil.org"),
    ],
)
def test_prefixes_are_replaced(path: str, prefix: str, replacement: str, result: str) -> None:
    made = Filters((Rewrite(prefix=replacement),)).request(path=path, query="q", prefix=len(prefix))
    assert made[1] == result
    redirect = Redirect(status=302, prefix=replacement)
    answer = Filters((redirect,)).request(path=path, query="q", host="h", prefix=len(prefix))[3]
    assert answer == (302, f"http://h{result}?q")


@pytest.mark.parametrize(
    ("given_", "port", "tls", "location"),
    [
        (Redirect(status=302), 80, False, "http://a.com/p"),
        (Redirect(status=302), 8080, False, "http://a.com:8080/p"),
        (Redirect(status=302), 443, True, "https://a.com/p"),
        (Redirect(status=302), 443, False, "http://a.com:443/p"),
        (Redirect(status=302, scheme="https"), 8080, False, "https://a.com/p"),
        (Redirect(status=302, scheme="http"), 443, True, "http://a.com/p"),
        (Redirect(status=302, scheme="https", port=8443), 80, False, "https://a.com:8443/p"),
        (Redirect(status=302, scheme="https", port=443), 80, False, "https://a.com/p"),
        (Redirect(status=302, port=80), 8080, False, "http://a.com/p"),
        (Redirect(status=302, port=65535), 8080, False, "http://a.com:65535/p"),
        (Redirect(status=302, hostname="b.org"), 80, False, "http://b.org/p"),
        (Redirect(status=302, full_path="/x"), 80, False, "http://a.com/x"),
    ],
)
def test_locations(given_: Redirect, port: int, tls: bool, location: str) -> None:
    answer = Filters((given_,)).request(path="/p", host="A.com:1234", port=port, tls=tls)[3]
    assert answer == (302, location)


def test_a_redirect_without_any_host_stays_on_this_one() -> None:
    """In HTTP/1.0 without Host, Location is a path, and never one that would be read as a host."""
    redirect = Filters((Redirect(status=301, full_path="//evil.org"),))
    assert redirect.request()[3] == (301, "/.//evil.org")
    assert Filters((Redirect(status=301, scheme="https"),)).request(path="/a", query="")[3] == (301, "/a?")


# --- header modifiers


def test_set_overwrites_add_appends_remove_removes() -> None:
    chain = modifier(set=values(("X-Set", "new")), add=values(("X-Add", "added")), remove=("x-remove",))
    given_fields = [("x-set", "a"), ("X-Set", "b"), ("X-ADD", "original"), ("X-Remove", "c"), ("Other", "d")]
    assert Filters((chain,)).request(given_fields)[0] == [
        ("x-set", "new"),
        ("X-ADD", "original,added"),
        ("Other", "d"),
    ]
    assert Filters((chain,)).request([])[0] == [("X-Set", "new"), ("X-Add", "added")]


def test_filters_work_in_the_listed_order() -> None:
    first, second = modifier(set=values(("X", "1"))), modifier(add=values(("x", "2")))
    assert Filters((first, second)).request([("X", "0")])[0] == [("X", "1,2")]
    assert Filters((second, first)).request([("X", "0")])[0] == [("X", "1")]


def test_cookies_are_never_joined_with_commas() -> None:
    response = modifier("response", add=values(("Set-Cookie", "b=2")))
    assert Filters((response,)).response([("Set-Cookie", "a=1")]) == [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    request = modifier(add=values(("Cookie", "b=2")))
    assert Filters((request,)).request([("Cookie", "a=1")])[0] == [("Cookie", "a=1; b=2")]


def test_requests_and_responses_have_their_own_modifiers() -> None:
    chain = Filters((modifier(set=values(("X", "1"))), modifier("response", set=values(("Y", "2")))))
    assert chain.request()[0] == [("X", "1")]
    assert chain.response() == [("Y", "2")]


FRAMING = ("Content-Length", "transfer-encoding", "Connection", "TE", "Upgrade", "Expect")


@pytest.mark.parametrize("name", [*FRAMING, "content_length", "Transfer_Encoding", "Fastroute_Loop"])
def test_framing_and_connection_are_not_for_filters(name: str) -> None:
    everything = [modifier(set=values((name, "1"))), modifier(add=values((name, "1"))), modifier(remove=(name,))]
    assert Filters(tuple(everything)).request([(name, "5")])[0] == [(name, "5")]
    response = [modifier("response", set=values((name, "1"))), modifier("response", remove=(name,))]
    assert Filters(tuple(response)).response([(name, "5")]) == [(name, "5")]


def test_to_set_host_is_to_rewrite_it() -> None:
    assert Filters((modifier(set=values(("host", "b.org:81"))),)).request(host="a.com")[2] == "b.org:81"
    for odd in (
        modifier(set=values(("Host", "b org"))),
        modifier(add=values(("Host", "b"))),
        modifier(remove=("HOST",)),
    ):
        made = Filters((odd,)).request([("Host", "a.com")], host="a.com")
        assert (made[0], made[2]) == ([("Host", "a.com")], "a.com")


def test_what_would_break_the_head_is_made_harmless() -> None:
    split = modifier(set=values(("X", "a\r\nEvil: 1\0"), ("Bad Name", "1"), ("Bad:", "2")))
    assert Filters((split,)).request()[0] == [("X", "a  Evil: 1")]
    rewrite = Filters((Rewrite(full_path="/a b\r\n?x=1#é", hostname="h\r\nEvil: 1"),))
    assert rewrite.request(host="a.com")[1:3] == ("/a%20b%0D%0A%3Fx=1%23%C3%A9", "a.com")
    assert Filters((Rewrite(full_path="/%C3%A9/ok"),)).request()[1] == "/%C3%A9/ok"


def test_nothing_is_nothing() -> None:
    assert Filters(()).request([("X", "1")], path="/p", host="h") == ([("X", "1")], "/p", "h", None)
    assert Filters((modifier(),)).response([("X", "1")]) == [("X", "1")]


def test_a_full_arena_is_an_error_and_nothing_worse() -> None:
    chain = Filters(
        (modifier(add=values(("X", "added"), ("Y", "new")), set=values(("Z", "1"))), Rewrite(prefix="/very/long"))
    )

    def fits(room: int) -> bool:
        try:
            chain.request([("X", "1")], path="/foo/bar", prefix=4, arena=room)
        except MemoryError:
            return False
        return True

    outcomes = [fits(room) for room in range(1000)]
    assert outcomes == sorted(outcomes)
    assert (outcomes[0], outcomes[-1]) == (False, True)
