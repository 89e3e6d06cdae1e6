"""Requests in the form that the matcher reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.errors import SettingError
from fastroute.explain.matching import misses
from fastroute.explain.request import Request, host_of, normalise_path, parse_url
from fastroute.ext.http1.http1 import normalise_path as compiled_normalise_path
from fastroute.snapshot import Match, PathMatch, ValueMatch


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/%61dmin", "/admin"),
        ("/%7Euser", "/~user"),
        ("/a%2fb", "/a%2Fb"),  # an escaped slash is not a separator
        ("/a%3bb;c", "/a%3Bb;c"),
        ("/a//b", "/a//b"),
        ("/./a", "/a"),
        ("/a/./b/.", "/a/b/"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/..", "/"),
        ("/a//../b", "/a/b"),
        ("/...", "/..."),
        ("/a/b/../../c", "/c"),
        ("/\xc3\xa4", "/\xc3\xa4"),
    ],
)
def test_paths_that_mean_the_same_have_one_form(written: str, normal: str) -> None:
    assert normalise_path(written) == normal
    assert normalise_path(normal) == normal


@pytest.mark.parametrize("path", ["/..", "/a/../..", "/%2e%2e/a", "/a/../../b", "/%", "/%4", "/%zz", "/%00"])
def test_paths_that_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        normalise_path(path)


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("example.com", "example.com"),
        ("Example.COM:8080", "example.com"),
        ("example.com.", "example.com"),
        ("example.com.:80", "example.com"),
        ("example.com:", "example.com"),
        ("[::1]:8080", "[::1]"),
        ("[::1]", "[::1]"),
        ("127.0.0.1:80", "127.0.0.1"),
    ],
)
def test_the_host_of_an_authority(authority: str, host: str) -> None:
    assert host_of(authority) == host


PIECES = ["/", "a", "%61", ".", "..", "%2e", "%2F", "%2f", "%zz", "%", "b;c", "~", "%7e", "\xe4", "%C3%a4", "%00", "?"]


@given(st.lists(st.sampled_from(PIECES), max_size=10).map(lambda pieces: "/" + "".join(pieces)))
def test_the_compiled_form_is_the_same(path: str) -> None:
    try:
        plain = normalise_path(path).encode("latin-1")
    except ValueError:
        with pytest.raises(ValueError, match="path"):
            compiled_normalise_path(path.encode("latin-1"))
    else:
        assert compiled_normalise_path(path.encode("latin-1")) == plain


def test_fields_and_parameters() -> None:
    request = Request(
        method="GET",
        scheme="http",
        authority="a",
        path="/",
        query="v=1&w&v=2&=x&%76=3",
        headers=(("Host", "a"), ("X-Team", "blue"), ("x-team", "red")),
    )
    assert request.header("X-TEAM") == "blue,red"
    assert request.header("x-other") is None
    assert [request.parameter(name) for name in ("v", "w", "", "%76", "x")] == ["1", "", "x", "3", None]


def test_a_url_becomes_a_request() -> None:
    request, port = parse_url("GET", "http://Shop.example:8080/a/../b?x=1#f", (("X-A", "1"),))
    assert (request.scheme, request.host, port) == ("http", "shop.example", 8080)
    assert (request.path, request.query) == ("/b", "x=1")
    assert request.headers == (("Host", "Shop.example:8080"), ("X-A", "1"))


@pytest.mark.parametrize(
    ("url", "path", "query"),
    [
        ("http://a", "/", None),
        ("http://a/?", "/", ""),
        ("http://a/#?", "/", None),
        ("http://a/ä b?ö=%20", "/%C3%A4%20b", "%C3%B6=%20"),
        ("http://user@a/%7e|", "/~|", None),
    ],
)
def test_what_clients_make_of_a_url(url: str, path: str, query: str | None) -> None:
    request, _ = parse_url("GET", url)
    assert (request.authority, request.path, request.query) == ("a", path, query)


def test_a_host_header_wins_over_the_url() -> None:
    request, port = parse_url("GET", "127.0.0.1:8080", (("host", "shop.example"),))
    assert (request.host, port, request.path, request.query) == ("shop.example", 8080, "/", None)
    assert request.headers == (("host", "shop.example"),)


@pytest.mark.parametrize("url", ["ftp://a/", "http://", "http://a:port/"])
def test_what_is_no_url_is_said(url: str) -> None:
    with pytest.raises(SettingError):
        parse_url("GET", url)


@pytest.mark.parametrize(
    ("method", "url", "headers", "status", "reason"),
    [
        ("", "http://a/", (), 400, "method_invalid"),
        ("G T", "http://a/", (), 400, "version_invalid"),
        ("GET/", "http://a/", (), 400, "method_invalid"),
        ("GÉT", "http://a/", (), 400, "method_invalid"),
        ("GET", "http://a/%zz", (), 400, "path_escape"),
        ("GET", "http://a/..", (), 400, "path_above_root"),
        ("GET", "http://a/a\\b", (), 400, "target_invalid"),
        ("GET", "http://a/" + "x" * 9000, (), 414, "target_too_long"),
        ("GET", "http://a/", (("X", "y" * 70_000),), 431, "head_too_large"),
        ("GET", "http://a/", (("X Y", "z"),), 400, "field_space_before_colon"),
        ("GET", "http://a/", (("Host", "b"), ("host", "c")), 400, "host_repeated"),
        ("POST", "http://a/", (("Transfer-Encoding", "gzip"),), 501, "transfer_encoding_unsupported"),
        ("TRACE", "http://a/", (("Max-Forwards", "many"),), 400, "max_forwards_invalid"),
    ],
)
def test_a_request_that_the_gateway_refuses(
    method: str, url: str, headers: tuple[tuple[str, str], ...], status: int, reason: str
) -> None:
    assert parse_url(method, url, headers)[0].refused == (status, reason)


def test_fields_that_no_match_sees() -> None:
    sent = (("X-A", "1"), ("Connection", "x-a, upgrade"), ("Upgrade", "websocket"), ("X-Real-IP", "::1"), ("X-B", "2"))
    request, _ = parse_url("GET", "http://a/", (*sent, ("X_B", "3"), ("X-Request-ID", "4")))
    assert request.headers == (("Host", "a"), ("Upgrade", "websocket"), ("X-B", "2"))
    assert request.removed == {"x-a", "connection", "x-real-ip", "x_b", "x-request-id"}
    [reason] = misses(Match(path=PathMatch("PathPrefix", ""), headers=(ValueMatch("x-a", "1"),), rank=(0,)), request)
    assert reason == "header x-a is not forwarded, so no match sees it"
